"""Functions of the Django outbox in this process, on SQLite and PostgreSQL."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("django")

from corvo_client import Client, EnqueueRequest


@pytest.fixture(scope="module")
def aliases(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[str]:
    """Set up Django, which is possible only once per process."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    folder = tmp_path_factory.mktemp("django")
    databases: dict[str, Any] = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "app.db")}
    }
    try:
        made = request.getfixturevalue("postgres_databases")
    except pytest.skip.Exception:
        pass
    else:
        where = urlsplit(made.create())
        databases["postgres"] = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": where.path.removeprefix("/"),
            "HOST": where.hostname,
            "PORT": where.port,
            "USER": where.username,
            "PASSWORD": where.password or "",
        }
    settings.configure(
        INSTALLED_APPS=["corvo_client.outbox.django"], DATABASES=databases, USE_TZ=True
    )
    django.setup()
    for alias in databases:
        call_command("migrate", database=alias, verbosity=0)
    return list(databases)


@pytest.fixture(params=["default", "postgres"])
def using(request: pytest.FixtureRequest, aliases: list[str]) -> Iterator[str]:
    if request.param not in aliases:
        pytest.skip("there is no such database")
    yield request.param
    from django.db import connections

    connections.close_all()


def payloads(client: Client, queue: str) -> list[Any]:
    return [job.payload for job in client.search_all(queue=queue, order="asc")]


def test_jobs_follow_their_transaction(using: str, client: Client, queue: str) -> None:
    from django.db import transaction

    from corvo_client.outbox import django as outbox

    relay = outbox.relay(client, using=using, batch_size=2)
    with transaction.atomic(using=using):
        outbox.enqueue(queue, 1, using=using)
        outbox.add(EnqueueRequest(queue=queue, payload=2), using=using)
        outbox.enqueue(queue, 3, using=using, priority="high")
    with transaction.atomic(using=using):
        outbox.enqueue(queue, 4, using=using)
        transaction.set_rollback(True, using=using)
    assert [relay.run_once() for _ in range(3)] == [2, 1, 0]
    assert payloads(client, queue) == [1, 2, 3]


def test_rejected_jobs_stay_with_their_errors(using: str, client: Client, queue: str) -> None:
    from corvo_client.outbox import django as outbox
    from corvo_client.outbox.django.models import OutboxRow

    client.enqueue(queue, 0, unique_key="k")
    job_id = outbox.enqueue(queue, 1, using=using, unique_key="k", on_conflict="error")
    outbox.enqueue(queue, 2, using=using)
    assert outbox.relay(client, using=using).run_once() == 2
    assert outbox.relay(client, using=using).run_once() == 0
    (kept,) = OutboxRow.objects.using(using).filter(job_id=job_id)
    assert str(kept) == job_id
    assert "unique key" in kept.error
    assert payloads(client, queue) == [0, 2]


def test_the_command_sends_all_rows(using: str, client: Client, queue: str) -> None:
    from django.core.management import call_command

    from corvo_client.outbox import django as outbox

    outbox.enqueue(queue, 1, using=using)
    call_command("corvo_relay", once=True, server=client.base_url, database=using)
    assert payloads(client, queue) == [1]


def test_the_command_stops_at_a_signal(
    client: Client, queue: str, aliases: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    from django.core.management import call_command

    from corvo_client.outbox import Relay
    from corvo_client.outbox import django as outbox

    send = Relay._send

    def send_and_stop(relay: Relay, rows: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return send(relay, rows)

    monkeypatch.setattr(Relay, "_send", send_and_stop)
    monkeypatch.setenv("CORVO_SERVER", client.base_url)
    outbox.enqueue(queue, 1)
    call_command("corvo_relay")
    assert payloads(client, queue) == [1]
    assert "default" in aliases
