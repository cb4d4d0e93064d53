"""No call is answered before its change is on stable storage.

The server's writes, fsyncs and messages are recorded, while one client makes every changing call of
the API, one after the other.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server_support.engines import NewStorage
from support.api_client import ApiClient
from support.faults.figures import note_figures
from support.faults.recorded import RecordedServer
from support.faults.recording import Kind, Operation, Recording
from support.operations import OPERATIONS
from support.world import World

_WRITER = b"writer_"
"""The beginning of the writer's id, which each transaction that writes sends to PostgreSQL."""
_COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
"""PostgreSQL's answer to COMMIT."""


async def make_every_call(url: str) -> dict[str, str]:
    """Make every changing call once. Return the name of each by its X-Request-ID."""
    made: dict[str, str] = {}
    async with ApiClient(url) as api:
        for number, operation in enumerate(OPERATIONS):
            await api.see_no_claims()  # no write of an earlier call is going on
            call = await operation.prepare(api, World())
            headers = {"x-request-id": f"call-{number}"}
            response = await api.send(
                call.method, call.path, call.body, {**headers, **(call.headers or {})}
            )
            assert response.status_code == operation.status
            made[f"call-{number}"] = operation.name
    return made


def early_replies(recording: Recording, made: dict[str, str], engine: str) -> Iterator[str]:
    """Yield a sentence for each call that was answered before its change was durable."""
    for request_id, name in made.items():
        arrived, replied = recording.arrivals[request_id], recording.replies[request_id]
        calls = [call for call in recording.operations if call.is_between(arrived, replied)]
        is_durable = _has_synced(calls) if engine == "sqlite" else _has_committed(calls)
        if not is_durable:
            yield name


def _has_synced(calls: list[Operation]) -> bool:
    """Return whether something was written to the log of SQLite, and then synced."""
    on_log = [call for call in calls if call.path.endswith("-wal")]
    written = [call.ended for call in on_log if call.kind is Kind.WRITE]
    synced = [call.begun for call in on_log if call.kind is Kind.SYNC and call.result == 0]
    return any(write is not None and write < sync for write in written for sync in synced)


def _has_committed(calls: list[Operation]) -> bool:
    """Return whether a transaction that writes was sent to PostgreSQL, and its COMMIT answered."""
    sent = {
        call.inode: call.begun for call in calls if call.kind is Kind.SEND and _WRITER in call.data
    }
    return any(
        call.kind is Kind.RECEIVE
        and _COMMITTED in call.data
        and call.begun > sent.get(call.inode, call.begun)
        for call in calls
    )


async def test_every_call_is_answered_after_its_commit_is_durable(
    tmp_path: Path, record_library: Path, new_storage: NewStorage, engine_name: str
) -> None:
    with RecordedServer(tmp_path, record_library, new_storage()) as server:
        made = await make_every_call(server.url)
    recording = server.recording()
    assert list(early_replies(recording, made, engine_name)) == []
    # PostgreSQL answers a COMMIT after its own fsync, unless a session asks it not to.
    assert not any(b"synchronous_commit" in call.data.lower() for call in recording.operations)
    note_figures(f"reply order on {engine_name}", operations=len(made), early=0)


@pytest.mark.sqlite
async def test_replies_without_an_fsync_are_found(tmp_path: Path, record_library: Path) -> None:
    with RecordedServer(tmp_path, record_library, synchronous="NORMAL") as server:
        made = await make_every_call(server.url)
    assert list(early_replies(server.recording(), made, "sqlite")) == list(made.values())
