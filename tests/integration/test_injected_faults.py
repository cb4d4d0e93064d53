"""The disk fails under a real server on SQLite, while clients make calls of all kinds.

Whatever fails: what was acknowledged is there after a kill and a restart, what was refused with
"nothing was done" is not there, and a repeated call has one effect.
"""

import asyncio
import errno
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import pytest

from support.api_client import ApiClient
from support.faults.disk_run import DiskRun
from support.faults.injection import DATABASE, DIRECTORY, LOG, Call, Effect, Injection
from support.faults.ledger import SETTINGS
from support.server import CorvoServer

pytestmark = pytest.mark.sqlite

_MB = 1_000_000


@pytest.fixture
async def run(
    request: pytest.FixtureRequest, injected_server: CorvoServer, injection: Injection
) -> AsyncIterator[DiskRun]:
    injection.track()
    async with DiskRun(request.node.name, injected_server, injection) as run:
        yield run


class FailedCommit(NamedTuple):
    """A fault of the write-ahead log that fails commits: once, for a while, and for ever."""

    call: Call
    effect: Effect
    errors: tuple[int, int, int]
    code: str
    """Code of the refused calls."""
    cuts_power: bool


_EIO = (errno.EIO, errno.EIO, errno.EIO)
_NO_WRITES = (errno.EIO, errno.EDQUOT, errno.EROFS)
_FULL = (errno.ENOSPC, errno.ENOSPC, errno.ENOSPC)
FAILED_COMMITS = {
    "write": FailedCommit(Call.WRITE, Effect.FAIL, _NO_WRITES, "UNAVAILABLE", False),
    "full": FailedCommit(Call.WRITE, Effect.FAIL, _FULL, "STORAGE_FULL", True),
    "sync": FailedCommit(Call.SYNC, Effect.FAIL, _EIO, "OUTCOME_UNKNOWN", False),
    "sync-lost": FailedCommit(Call.SYNC, Effect.LOSE, _EIO, "OUTCOME_UNKNOWN", True),
    "sync-lost-later": FailedCommit(Call.SYNC, Effect.LOSE_LATER, _EIO, "OUTCOME_UNKNOWN", True),
}


@pytest.mark.parametrize("kind", FAILED_COMMITS.values(), ids=FAILED_COMMITS)
async def test_answers_are_true_while_commits_fail(run: DiskRun, kind: FailedCommit) -> None:
    fault = (LOG, kind.call, kind.effect)
    first, second, third = kind.errors
    await run.more(100)
    once = run.injection.add(*fault, first, after=3, times=1)
    await run.see(lambda: once.hits, "the fault")
    await run.more(50)
    assert await run.is_ready()
    for_a_while = run.injection.add(*fault, second)
    await run.more(30)
    assert "disk" in await run.problem()
    for_a_while.end()
    await run.see_ready()
    await run.more(50)
    for_ever = run.injection.add(*fault, third, after=5)
    await run.see(lambda: for_ever.hits > 3, "the fault")
    lost = await run.kill(cuts_power=kind.cuts_power)
    for_ever.end()
    assert set(run.answers.codes) == {kind.code}
    assert set(run.answers.reads) == {200}
    await run.restart()
    run.note_figures(faults=once.hits + for_a_while.hits + for_ever.hits, lost_pages=lost)


FAILED_CHECKPOINTS = {
    "write": (Call.WRITE, Effect.FAIL),
    "sync-lost": (Call.SYNC, Effect.LOSE),
    "sync-lost-later": (Call.SYNC, Effect.LOSE_LATER),
}


@pytest.mark.parametrize("kind", FAILED_CHECKPOINTS.values(), ids=FAILED_CHECKPOINTS)
async def test_nothing_is_lost_while_checkpoints_fail(
    run: DiskRun, kind: tuple[Call, Effect]
) -> None:
    run.filler.is_on = True
    fault = run.injection.add(DATABASE, *kind)
    await run.see(lambda: fault.hits > 1 and run.log_size > 20 * _MB, "the fault")
    assert await run.is_ready()
    fault.end()
    restarts = run.log_restarts
    await run.see(lambda: run.log_restarts > restarts, "a checkpoint succeeds")
    await run.more(50)
    again = run.injection.add(DATABASE, *kind, errno.ENOSPC)
    await run.see(lambda: again.hits > 1, "the fault")
    assert not run.answers.codes
    lost = await run.kill(cuts_power=True)
    again.end()
    await run.restart()
    assert run.filler.stored
    run.note_figures(faults=fault.hits + again.hits, lost_pages=lost)


async def test_short_writes_and_failed_truncates_of_checkpoints_harm_nothing(run: DiskRun) -> None:
    run.filler.is_on = True
    with run.injection.add(DATABASE, Call.WRITE):
        # Above 48 MiB the server runs a checkpoint every second, besides those of SQLite.
        await run.see(lambda: run.log_size > 51 * _MB, "a log that is larger than its limit")
        run.filler.is_on = False
        await run.see(lambda: "a checkpoint failed" in run.messages, "a line about checkpoints")
        assert await run.metric("corvo_checkpoint_failures_total") > 0
        assert await run.is_ready()  # not so after 30 s
    short = run.injection.add(DATABASE, Call.WRITE, Effect.SHORTEN, 1000)
    truncate = run.injection.add(LOG, Call.TRUNCATE)
    run.filler.is_on = True
    await run.see(lambda: short.hits > 0 and truncate.hits > 0, "the faults")
    await run.kill(cuts_power=True)
    short.end()
    truncate.end()
    assert not run.answers.codes
    await run.restart()
    run.note_figures(faults=short.hits + truncate.hits)


async def test_nothing_is_lost_while_syncs_of_a_restarted_log_fail(run: DiskRun) -> None:
    run.filler.is_on = True
    hits = 0
    restarts = run.log_restarts
    # Each fault is at another sync: of a commit, of a new head of the log, or of a checkpoint.
    while run.log_restarts < restarts + 2 or hits < 10:
        effect = Effect.LOSE if hits % 2 else Effect.LOSE_LATER
        fault = run.injection.add(LOG, Call.SYNC, effect, after=hits % 5, times=1)
        await run.see(lambda fault=fault: fault.hits, "the fault")
        fault.end()
        hits += 1
    lost = await run.kill(cuts_power=True)
    assert set(run.answers.codes) == {"OUTCOME_UNKNOWN"}
    await run.restart()
    run.note_figures(faults=hits, lost_pages=lost)


async def test_disk_that_lies_about_syncs_is_found_out(run: DiskRun) -> None:
    await run.more(100)
    run.injection.add(LOG, Call.SYNC, Effect.LIE)
    await run.more(100)
    assert await run.kill(cuts_power=True)
    await asyncio.to_thread(run.server.restart)
    assert await run.violations()


async def test_torn_and_short_writes_of_the_log(run: DiskRun) -> None:
    await run.more(50)
    short = run.injection.add(LOG, Call.WRITE, Effect.SHORTEN, 100, times=200)
    await run.see(lambda: short.hits >= 200, "the fault")
    short.end()
    assert not run.answers.codes
    hits = 0
    for torn in range(1, 9):
        # The write takes 512 bytes or more of a frame. SQLite tries to write the rest, and fails.
        begin = run.injection.add(LOG, Call.WRITE, Effect.SHORTEN, 512 * torn - 1, after=1, times=1)
        rest = run.injection.add(LOG, Call.WRITE, Effect.FAIL, after=2, times=1)
        await run.see(lambda rest=rest: rest.hits, "the fault")
        begin.end()
        rest.end()
        hits += begin.hits + rest.hits
    begin = run.injection.add(LOG, Call.WRITE, Effect.SHORTEN, 1000, after=1, times=1)
    rest = run.injection.add(LOG, Call.WRITE, Effect.FAIL, after=2)
    await run.see(lambda: rest.hits > 3, "the fault")
    await run.kill()
    begin.end()
    rest.end()
    assert set(run.answers.codes) == {"UNAVAILABLE"}
    await run.restart()
    run.note_figures(faults=short.hits + hits + begin.hits + rest.hits)


async def test_slow_syncs_delay_calls_and_fail_none(run: DiskRun) -> None:
    await run.more(50)
    slow = run.injection.add(LOG, Call.SYNC, Effect.DELAY, 200)
    await run.see(lambda: slow.hits > 3, "the fault")
    assert await run.is_ready()
    async with ApiClient(run.server.url) as api:
        started = time.monotonic()
        await api.post(f"/queues/{SETTINGS}/pause")
        assert time.monotonic() - started >= 0.2
    slow.end()
    very_slow = run.injection.add(LOG, Call.SYNC, Effect.DELAY, 1_100, times=1)
    await run.see(lambda: very_slow.hits, "the fault")
    assert await run.is_ready()
    await run.more(50)
    assert await run.metric("corvo_commit_sync_seconds_sum") >= 0.2 * slow.hits + 1.1
    assert "to store a commit" in run.messages
    assert not run.answers.codes
    assert set(run.answers.reads) == {200}
    await run.kill()
    await run.restart()
    run.note_figures(faults=slow.hits + very_slow.hits)


class ReadFault(NamedTuple):
    """A fault of reads."""

    target: str
    value: int


READ_FAULTS = {
    "log-eio": ReadFault(LOG, errno.EIO),
    "database-estale": ReadFault(DATABASE, errno.ESTALE),
}


@pytest.mark.parametrize("kind", READ_FAULTS.values(), ids=READ_FAULTS)
async def test_answers_are_true_while_reads_fail(run: DiskRun, kind: ReadFault) -> None:
    await run.more(200)
    await run.stop()
    if kind.target == DATABASE:
        await asyncio.to_thread(run.server.stop)  # moves all of the log to the database
        await asyncio.to_thread(run.server.restart)
    fault = (kind.target, Call.READ, Effect.FAIL, kind.value)
    for_a_while = run.injection.add(*fault)
    run.start()
    await run.see(lambda: run.answers.reads[503] > 3, "the fault")
    for_a_while.end()
    await run.see_ready()
    await run.more(50)
    for_ever = run.injection.add(*fault)
    await run.see(lambda: for_ever.hits > 3, "the fault")
    await run.kill()
    for_ever.end()
    assert set(run.answers.codes) <= {"UNAVAILABLE", "OUTCOME_UNKNOWN"}
    assert "no transaction" not in run.messages
    await run.restart()
    run.note_figures(faults=for_a_while.hits + for_ever.hits)


async def test_searches_work_again_after_files_could_not_be_opened(
    injected_server: CorvoServer, injection: Injection
) -> None:
    async with ApiClient(injected_server.url) as api:
        job_id = await api.enqueue("q")

        async def search() -> list[httpx.Response]:
            calls = [api.send("POST", "/jobs/search", {"queue": "q"}) for _ in range(8)]
            return await asyncio.gather(*calls)

        # No connection for searches is open before the first search.
        with injection.add(DATABASE, Call.OPEN, value=errno.EMFILE) as fault:
            assert {reply.status_code for reply in await search()} == {503}
            assert fault.hits
        found = [job["id"] for reply in await search() for job in reply.json()["jobs"]]
        assert found == 8 * [job_id]
    assert injected_server.stop() == 0


async def test_server_refuses_to_start_on_a_failing_disk(
    injected_server: CorvoServer, injection: Injection
) -> None:
    async with ApiClient(injected_server.url) as api:
        job_id = await api.enqueue("q")
    injected_server.kill()
    for target, call in (
        (DIRECTORY, Call.SYNC),
        (DATABASE, Call.READ),
        (DATABASE, Call.OPEN),
    ):
        with injection.add(target, call) as fault:
            with pytest.raises(AssertionError, match="the server listens"):
                injected_server.restart()
            assert fault.hits
        assert injected_server.process.wait() == 1
        assert f"Cannot use {injected_server.database}: " in injected_server.process.output
        assert "Traceback" not in injected_server.process.output
    injected_server.restart()
    async with ApiClient(injected_server.url) as api:
        assert await api.state(job_id) == "pending"


async def test_stop_on_a_failing_disk_loses_nothing(
    injected_server: CorvoServer, injection: Injection
) -> None:
    injection.track()
    job_ids: list[str] = []
    for effect in (Effect.FAIL, Effect.LOSE, Effect.LOSE_LATER):
        async with ApiClient(injected_server.url) as api:
            job_ids.append(await api.enqueue("q"))
        with injection.add(DATABASE, Call.SYNC, effect) as fault:
            assert injected_server.stop() == 0
            assert fault.hits
        injection.cut_power()
        injected_server.restart()
    async with ApiClient(injected_server.url) as api:
        assert {await api.state(job_id) for job_id in job_ids} == {"pending"}
