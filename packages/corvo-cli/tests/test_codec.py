"""`corvo codec`, and encrypted jobs in other commands."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from corvo_cli.settings import Flags, resolve
from corvo_client import AboutDocument, DocumentKind, EncryptionCodec
from corvo_client.encryption import new_key
from corvo_client.worker import Worker

NAME = "$corvo_encrypted"
JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(new_key("a"), encoding="utf-8")
    return path


def sealed(keys: Path, kind: DocumentKind, document: Any, job_id: str | None = None) -> Any:
    written = EncryptionCodec.from_file(keys).encode(
        json.dumps(document).encode(), AboutDocument(kind, job_id)
    )
    return json.loads(written)


def test_new_key_prints_a_line_of_a_key_file(corvo: Any, tmp_path: Path) -> None:
    first, second = corvo("codec", "new-key", "--id", "2026-01"), corvo("codec", "new-key")
    assert first.stderr == second.stderr == ""
    path = tmp_path / "keys"
    path.write_text(first.stdout + second.stdout, encoding="utf-8")
    ids = EncryptionCodec.from_file(path).key_ids
    assert ids == ["2026-01", second.stdout.partition(":")[0]]


def test_a_bad_id_is_refused(corvo: Any) -> None:
    result = corvo("codec", "new-key", "--id", "a b")
    assert result.exit_code == 2
    assert "--id: the id of a key must be 1 to 64 characters" in result.stderr


def test_enqueue_encrypts_and_checks_the_plain_payload(corvo: Any, server: Any, keys: Path) -> None:
    server.answer("POST /enqueue", {"job_id": JOB_ID, "status": "pending"})
    schema = {"type": "object", "required": ["to"]}
    queue = {"name": "emails", "defaults": {"payload_schema": schema}}
    server.answer("GET /queues/emails", queue)
    fine = corvo("enqueue", "emails", '{"to":"ada"}', "--codec", str(keys))
    wrong = corvo("enqueue", "emails", "{}", "--codec", str(keys))
    assert fine.exit_code == wrong.exit_code == 0
    assert "Warning" not in fine.stderr
    assert "'to' is a required property" in wrong.stderr
    assert NAME in server.bodies[0]["payload"]
    assert "ada" not in str(server.bodies)


def test_inspect_and_search_decrypt(corvo: Any, server: Any, keys: Path, job: Any) -> None:
    job["payload"] = sealed(keys, DocumentKind.PAYLOAD, {"to": "ada"})
    job["result"] = sealed(keys, DocumentKind.RESULT, {"sent": 1}, job["id"])
    server.answer(f"GET /jobs/{JOB_ID}", job)
    server.answer("POST /jobs/search", {"jobs": [job], "total": 1, "has_more": False})
    shown = corvo("inspect", JOB_ID, "--codec", str(keys), "-o", "json")
    assert json.loads(shown.stdout)["payload"] == {"to": "ada"}
    assert json.loads(shown.stdout)["result"] == {"sent": 1}
    found = corvo("search", "--codec", str(keys), "-o", "jsonl")
    assert json.loads(found.stdout)["payload"] == {"to": "ada"}
    plain = corvo("inspect", JOB_ID, "-o", "json")
    assert NAME in json.loads(plain.stdout)["payload"]


def test_events_decrypt(corvo: Any, server: Any, keys: Path) -> None:
    error = json.dumps(sealed(keys, DocumentKind.ERROR, "boom", JOB_ID))
    event = {
        "type": "dead",
        "job_id": JOB_ID,
        "queue": "q",
        "created_at": "2026-01-31T08:00:00.000Z",
        "data": {"error": error},
    }
    body = f"id: 1\ndata: {json.dumps(event)}\n\n".encode()
    server.answer("GET /events", body, content_type="text/event-stream")
    result = corvo("events", "--limit", "1", "--codec", str(keys))
    assert "error=boom" in result.stdout


def test_a_job_with_another_key_is_shown_with_a_warning(
    corvo: Any, server: Any, keys: Path, tmp_path: Path, job: Any, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other"
    other.write_text(new_key("b"), encoding="utf-8")
    job["payload"] = sealed(other, DocumentKind.PAYLOAD, 1)
    server.answer(f"GET /jobs/{JOB_ID}", job)
    result = corvo("inspect", JOB_ID, "--codec", str(keys), "-o", "json")
    assert result.exit_code == 0
    assert NAME in json.loads(result.stdout)["payload"]
    assert "the payload is encrypted with the key 'b'" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the keys in"),
        ("secret", "is not id:base64 with 32 bytes; make one with `corvo codec new-key`"),
    ],
)
def test_a_bad_key_file_is_wrong_usage(
    corvo: Any, tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    result = corvo("inspect", JOB_ID, "--codec", str(path))
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")
    assert "secret" not in result.stderr


def test_a_missing_extra_is_named(corvo: Any, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "corvo_client.encryption", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    for arguments in (("inspect", JOB_ID, "--codec", str(keys)), ("codec", "new-key")):
        result = corvo(*arguments)
        assert result.exit_code == 2
        assert 'pip install "corvo-cli[encryption]"' in result.stderr


@pytest.mark.parametrize(
    ("flags", "variables", "codec"),
    [
        ({}, {}, {}),
        ({"codec": "flag"}, {"CORVO_CODEC_KEYS": "x"}, {"CORVO_CODEC_KEYS_FILE": "flag"}),
        ({}, {"CORVO_CODEC_KEYS_FILE": "env"}, {"CORVO_CODEC_KEYS_FILE": "env"}),
        ({}, {"CORVO_PROFILE": "p"}, {"CORVO_CODEC_KEYS_FILE": "profile"}),
        (
            {},
            {"CORVO_PROFILE": "p", "CORVO_CODEC_KEYS": "x"},
            {"CORVO_CODEC_KEYS": "x"},
        ),
        ({"profile": "p"}, {"CORVO_CODEC_KEYS": "x"}, {"CORVO_CODEC_KEYS_FILE": "profile"}),
        (
            {},
            {"CORVO_CODEC_KEYS": "x", "CORVO_CODEC_KEYS_FILE": "env"},
            {"CORVO_CODEC_KEYS": "x", "CORVO_CODEC_KEYS_FILE": "env"},
        ),
    ],
)
def test_first_source_of_keys_wins(
    environment: dict[str, str],
    flags: dict[str, str],
    variables: dict[str, str],
    codec: dict[str, str],
) -> None:
    Path(environment["CORVO_CONFIG"]).write_text('[profiles.p]\ncodec = "profile"\n')
    settings = resolve(Flags(**flags), environment | variables)
    found = dict(settings.codec)
    found.pop("CORVO_CODEC_REQUIRE", None)
    assert found == codec
    assert "CORVO_CODEC_KEYS" not in repr(settings)


def test_a_worker_gets_the_file(
    corvo: Any, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "encrypting.py").write_text(
        "from corvo_client.worker import Worker\nw = Worker()\nw.task('q')(lambda: None)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("CORVO_CODEC_KEYS", "another")
    runs: list[Worker] = []
    monkeypatch.setattr(Worker, "run", lambda worker, **_options: runs.append(worker))
    assert corvo("worker", "encrypting", "--codec", str(keys)).exit_code == 0
    del sys.modules["encrypting"]
    assert os.environ["CORVO_CODEC_KEYS_FILE"] == str(keys)
    assert "CORVO_CODEC_KEYS" not in os.environ
    sealing = runs[0]._server._origin.sealing
    assert sealing is not None
    assert isinstance(sealing.codec, EncryptionCodec)
    assert sealing.codec.key_ids == ["a"]
