"""The first key of a server: printed once, or from a file."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from corvo_schema import ApiKeyRequest
from corvo_server.auth.key_text import new_key, read_key
from corvo_server.engine.engine import Engine
from corvo_server.first_key import FirstKeyError, make_first_key
from corvo_server.settings import Settings
from corvo_server.store.sqlite.store import SqliteStore


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    store = SqliteStore(tmp_path / "data")
    yield Engine(store)
    await store.close()


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


async def make(engine: Engine, **options: Any) -> None:
    """Make the first key as at a start of the server."""
    await engine.keys.load()
    await make_first_key(Settings(**options), engine)


async def test_key_is_printed_once(
    engine: Engine, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await make(engine, bootstrap_key=True)
    text = capsys.readouterr().out.removesuffix("\n")
    assert engine.keys.authenticate(text).roles == {"admin"}
    assert read_key(text).id in caplog.text
    assert text not in caplog.text
    await make(engine, bootstrap_key=True)
    assert capsys.readouterr().out == ""
    assert len(await engine.keys.list_all()) == 1


@pytest.mark.parametrize("options", [{}, {"bootstrap_key": True, "insecure_no_auth": True}])
async def test_no_key_is_made_unless_it_is_wanted(
    engine: Engine, capsys: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    await make(engine, **options)
    assert not engine.keys.are_required
    assert capsys.readouterr().out == ""


async def test_key_of_a_file_is_not_printed(
    engine: Engine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    key, path = new_key(), tmp_path / "key"
    path.write_text(f"{key.text}\n", encoding="utf-8")
    for _ in range(2):
        await make(engine, bootstrap_key=True, bootstrap_key_file=path)
    assert engine.keys.authenticate(key.text).name == "admin"
    assert len(await engine.keys.list_all()) == 1
    assert capsys.readouterr().out == ""
    assert key.text not in caplog.text
    assert [record.levelname for record in caplog.records] == ["INFO"]


async def test_file_that_has_no_effect_is_named(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await engine.keys.create(ApiKeyRequest.model_validate({"name": "a", "roles": ["admin"]}))
    key, path = new_key(), tmp_path / "key"
    path.write_text(key.text, encoding="utf-8")
    await make(engine, bootstrap_key_file=path)
    path.unlink()
    await make(engine, bootstrap_key_file=path)
    other, missing = [record.getMessage() for record in caplog.records]
    assert f"{key.id} in {path} has no effect" in other
    assert "cannot be read: No such file" in missing
    assert len(await engine.keys.list_all()) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"secret", "holds no valid key: it does not look like one"),
        (b"\xff\x00", "holds no valid key: it does not look like one"),
        (new_key().text[:-9].encode(), "holds no valid key: it was cut"),
        (
            f"{new_key().text} {new_key().text}".encode(),
            "holds no valid key: it contains more than one key",
        ),
        (b"x" * 5_000_000, "holds no valid key: it does not look like one"),
    ],
    ids=["missing", "empty", "blank", "word", "binary", "cut", "two", "large"],
)
async def test_unusable_file_is_refused(
    engine: Engine, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FirstKeyError) as caught:
        await make(engine, bootstrap_key_file=path)
    said = str(caught.value)
    assert f"--bootstrap-key-file {path}: {reason}" in said
    assert said.endswith("Make a key for it with: corvo-server keys new")
    assert "_" not in said.replace(str(path), "").replace("corvo_", "")
    assert not engine.keys.are_required


async def test_directory_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(FirstKeyError, match="cannot be read: Is a directory"):
        await make(engine, bootstrap_key_file=tmp_path)
