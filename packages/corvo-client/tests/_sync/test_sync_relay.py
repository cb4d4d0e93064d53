# Generated from tests/_async/test_async_relay.py by scripts/gen_sync.py. Do not edit.
"""Relay loop with rows in memory."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest

from corvo_client import NO_RETRIES, Client, ConnectionFailed, OutcomeUnknown, Unauthorized
from corvo_client._outbox import MAX_REQUEST_BYTES, Row, Sent
from corvo_client._sync.relay import RelayLoop


class Table:
    """A `Store` with rows in memory."""

    def __init__(self, *bodies: str) -> None:
        self.rows = [Row(f"job_{n}", body) for n, body in enumerate(bodies)]
        self.errors: dict[str, str] = {}
        self.deliveries = 0

    def deliver(self, limit: int, send: Callable[[Sequence[Row]], Awaitable[Sent]]) -> int:
        self.deliveries += 1
        rows = [row for row in self.rows if row.job_id not in self.errors][:limit]
        if rows:
            sent = send(rows)
            self.errors |= sent.refused
            self.rows = [row for row in self.rows if row.job_id not in sent.accepted]
        return len(rows)


def relay(table: Table, server: Any, **options: Any) -> RelayLoop:
    client = Client(transport=httpx.MockTransport(server), retry=NO_RETRIES)
    return RelayLoop(table, client, **options)


def accept(request: httpx.Request) -> httpx.Response:
    return httpx.Response(201, json={"job_ids": []})


def test_rows_are_sent_unchanged(server: Any) -> None:
    table = Table('{"n": 1}', '{"n": 2}', '{"n": 3}')
    server.then(accept)
    server.then(accept)
    relaying = relay(table, server, batch_size=2)
    assert [relaying.run_once() for _ in range(3)] == [2, 1, 0]
    assert server.lines == ["POST /api/v1/enqueue/batch"] * 2
    assert server.bodies == [{"jobs": [{"n": 1}, {"n": 2}]}, {"jobs": [{"n": 3}]}]


def test_large_rows_are_sent_in_separate_requests(server: Any) -> None:
    table = Table('"%s"' % ("x" * MAX_REQUEST_BYTES), "1", "2", "3")
    for _ in range(3):
        server.then(accept)
    assert relay(table, server).run_once() == 4
    assert [len(body["jobs"]) for body in server.bodies] == [1, 1, 2]
    assert table.rows == []


def test_a_rejected_row_is_found_among_the_others(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table("0", "1", "2")
    server.refuse(409, "INVALID_STATE", "the key is held")
    server.refuse(409, "INVALID_STATE", "the key is held")
    server.then(accept)
    assert relay(table, server).run_once() == 3
    assert table.errors == {"job_0": "the key is held"}
    assert [row.job_id for row in table.rows] == ["job_0"]
    assert "rejected job job_0 of the outbox" in caplog.text


def test_an_error_of_the_whole_request_is_raised(server: Any) -> None:
    table = Table("0", "1")
    server.refuse(401, "UNAUTHORIZED")
    with pytest.raises(Unauthorized):
        relay(table, server).run_once()
    server.then(httpx.ConnectError("nobody"))
    with pytest.raises(ConnectionFailed):
        relay(table, server).run_once()
    assert len(table.rows) == 2


def test_rows_of_unknown_outcome_are_sent_again(server: Any) -> None:
    table = Table("0", "1")
    server.refuse(500, "OUTCOME_UNKNOWN")
    with pytest.raises(OutcomeUnknown):
        relay(table, server).run_once()
    assert len(table.rows) == 2
    server.then(accept)
    assert relay(table, server).run_once() == 2
    assert server.bodies[0] == server.bodies[1]
    assert table.rows == []


def test_run_continues_after_failures_until_stop(
    server: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING, "corvo.outbox")
    table = Table("0", "1", "2")
    relaying = relay(table, server, batch_size=2, poll_interval=0.001)
    monkeypatch.setattr(relaying._backoff, "next", lambda: failed.append(1) or 0.001)
    failed: list[int] = []
    deliveries_before = 2

    def stop(request: httpx.Request) -> httpx.Response:
        relaying.stop()
        return accept(request)

    server.then(httpx.ConnectError("nobody"))
    server.then(httpx.ConnectError("nobody"))
    server.then(accept)
    server.then(stop)
    relaying.run()
    assert len(failed) == deliveries_before
    assert table.rows == []
    assert "cannot relay the outbox" in caplog.text
    # The relay can run again after `stop`.
    table.rows = [Row("job_9", "9")]
    server.then(stop)
    relaying.run()
    assert table.rows == []
