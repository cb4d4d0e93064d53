"""Where a client has its API key from, and that no text of the client shows it."""

import logging
import traceback
from pathlib import Path

import httpx
import pytest

from corvo_client import Client, CorvoError, InvalidSetting
from corvo_client._api_key import find_api_key
from corvo_client._origin import Origin
from corvo_schema.masks import mask_keys

KEY = "corvo_0123456789ab_" + "S3cret" * 8 + "x"
MASKED = "corvo_0123456789ab_…"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_text("of-file\n", encoding="utf-8")
    return str(path)


def test_key_is_that_of_the_first_place_that_has_one(file: str) -> None:
    both = {"CORVO_API_KEY": "of-variable", "CORVO_API_KEY_FILE": file}
    assert find_api_key("given", both) == "given"
    assert find_api_key(None, both) == "of-variable"
    assert find_api_key("", {**both, "CORVO_API_KEY": " "}) == "of-file"
    assert find_api_key(None, {"CORVO_API_KEY_FILE": file}) == "of-file"
    assert find_api_key(None, {"CORVO_API_KEY_FILE": ""}) == ""


def test_key_of_a_file_is_sent(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORVO_API_KEY", raising=False)
    monkeypatch.setenv("CORVO_API_KEY_FILE", file)
    assert (b"Authorization", b"Bearer of-file") in Origin().server.headers


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot read the file .*No such file or directory"),
        (b"", "is empty; write an API key into it"),
        (b" \n\n", "is empty"),
        (b"x" * 5000, "too large to be an API key"),
        (b"a\nb", "printable ASCII text without blanks"),
        ("schlüssel".encode(), "printable ASCII text"),
        (b"\xff", "printable ASCII text"),
    ],
)
def test_unusable_file_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidSetting, match=f"CORVO_API_KEY_FILE: .*{reason}") as caught:
        find_api_key(None, {"CORVO_API_KEY_FILE": str(path)})
    assert str(path) in str(caught.value)


def test_directory_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="Is a directory"):
        find_api_key(None, {"CORVO_API_KEY_FILE": str(tmp_path)})


def test_no_text_of_the_client_shows_its_key(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        error = {"code": "UNAUTHORIZED", "message": f"unknown {request.headers['authorization']}"}
        return httpx.Response(401, json={"error": error})

    caplog.set_level(logging.DEBUG)
    with Client("http://c", api_key=KEY, transport=httpx.MockTransport(refuse)) as client:
        shown = [repr(client), repr(client._transport._origin.server)]
        with pytest.raises(CorvoError) as caught:
            client.enqueue("q")
    shown += [repr(caught.value), str(caught.value), caught.value.reason]  # type: ignore[attr-defined]
    shown += traceback.format_exception(caught.value)
    shown.append(caplog.text)
    assert not [text for text in shown if "S3cret" in text]


def test_key_in_the_place_of_a_url_is_not_shown() -> None:
    with pytest.raises(InvalidSetting) as refused:
        Client(f"ftp://{KEY}")
    assert MASKED in str(refused.value)
    assert "S3cret" not in repr(refused.value)


def test_masks_hide_keys_that_follow_each_other() -> None:
    assert mask_keys(f"a {KEY} b {KEY}{KEY}.") == f"a {MASKED} b {MASKED}."
