"""Outbox as a Django app, with a real server."""

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("django")

from corvo_client import Client

# Each test uses a separate process, because Django can be set up only once per process.
SETUP = """
import os, sys
import django
from django.conf import settings

*database, server = sys.argv[1:]
words = ("ENGINE", "NAME", "HOST", "PORT", "USER", "PASSWORD")
settings.configure(
    INSTALLED_APPS=["corvo_client.outbox.django"],
    DATABASES={"default": dict(zip(words, database, strict=True))},
    USE_TZ=True,
)
django.setup()
from django.core.management import call_command
from django.db import transaction
from corvo_client import Client
from corvo_client.outbox import django as outbox

call_command("migrate", verbosity=0)
client = Client(server)
"""

COMMIT = """
with transaction.atomic():
    job_id = outbox.enqueue(QUEUE, {"item": "tea"}, tags={"a": "b"})
    assert outbox.relay(client).run_once() in (0, 1)
try:
    with transaction.atomic():
        outbox.enqueue(QUEUE, {"item": "rolled back"})
        raise OSError
except OSError:
    pass
outbox.enqueue(QUEUE, {"item": "autocommit"}, using="default")
call_command("corvo_relay", "--once", "--server", server, "--database", "default")
print(job_id)
"""

CRASH = """
with transaction.atomic():
    outbox.enqueue(QUEUE, {"item": "tea"})
outbox._Rows._settle = lambda *_: os._exit(9)
outbox.relay(client).run_once()
"""

AFTER_CRASH = """
assert outbox.relay(client).run_once() == 1
assert outbox.relay(client).run_once() == 0
"""

CHECK = """
call_command("makemigrations", "--check", "--dry-run", verbosity=0)
call_command("check", "--fail-level", "WARNING", verbosity=0)
"""


@pytest.fixture(params=["sqlite3", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Return engine, name, host, port, user and password of a database."""
    engine = f"django.db.backends.{request.param}"
    if request.param == "sqlite3":
        return [engine, str(tmp_path / "app.db"), "", "", "", ""]
    url = urlsplit(str(request.getfixturevalue("empty_postgres_url")))
    name = url.path.removeprefix("/")
    where = [str(url.hostname), str(url.port), str(url.username), url.password or ""]
    return [engine, name, *where]


def run(script: str, database: list[str], client: Client, queue: str, *, code: int = 0) -> str:
    program = SETUP + f"QUEUE = {queue!r}\n" + script
    command = [sys.executable, "-W", "error", "-c", program, *database, client.base_url]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout.strip()


def jobs_of(client: Client, queue: str) -> list[Any]:
    return list(client.search_all(queue=queue, order="asc"))


def test_a_commit_creates_the_job_and_a_rollback_does_not(
    database: list[str], client: Client, queue: str
) -> None:
    job_id = run(COMMIT, database, client, queue)
    found = jobs_of(client, queue)
    assert [job.payload["item"] for job in found] == ["tea", "autocommit"]
    assert (found[0].id, found[0].tags) == (job_id, {"a": "b"})


def test_a_relay_that_dies_before_deleting_rows_creates_no_second_job(
    database: list[str], client: Client, queue: str
) -> None:
    run(CRASH, database, client, queue, code=9)
    assert len(jobs_of(client, queue)) == 1
    run(AFTER_CRASH, database, client, queue)
    assert len(jobs_of(client, queue)) == 1


def test_the_migrations_match_the_model(database: list[str], client: Client, queue: str) -> None:
    run(CHECK, database, client, queue)


ENCRYPTED = """
import base64
os.environ["CORVO_CODEC_KEYS"] = "k:" + base64.b64encode(bytes(32)).decode()
with transaction.atomic():
    outbox.enqueue(QUEUE, {"item": "tea"})
    outbox.enqueue(QUEUE, {"item": "tea"}, codec=False)
encrypted, plain = [row.body for row in outbox._model().objects.order_by("seq")]
assert "tea" not in encrypted, encrypted
assert "tea" in plain, plain
assert outbox.relay(Client(server)).run_once() == 2
"""


def test_rows_are_encrypted(database: list[str], client: Client, queue: str) -> None:
    pytest.importorskip("cryptography")
    run(ENCRYPTED, database, client, queue)
    # The relay's client encrypts what the outbox has not.
    assert [set(job.payload) for job in jobs_of(client, queue)] == [{"$corvo_encrypted"}] * 2
