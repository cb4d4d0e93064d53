"""The disk fails under a real server on SQLite, while clients make calls of all kinds.

Whatever fails: what was acknowledged is there after a kill and a restart, what was refused with
"nothing was done" is not there, and a repeated call has one effect.
"""

import errno
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from server_support.waiting import wait_until
from support.api_client import ApiClient
from support.faults.disk_run import DiskRun
from support.faults.injection import DATABASE, FOREVER, LOG, Call, Effect, Fault, Injection
from support.faults.libraries import built
from support.server import CorvoServer

pytestmark = pytest.mark.sqlite


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("inject", tmp_path_factory.mktemp("library"))


@pytest.fixture
def injection(tmp_path: Path, library: Path) -> Injection:
    return Injection(library, tmp_path / "control")


@pytest.fixture
def server(tmp_path: Path, injection: Injection) -> Iterator[CorvoServer]:
    server = CorvoServer(tmp_path / "data", env=injection.env).start()
    yield server
    server.close()


@pytest.fixture
async def run(
    request: pytest.FixtureRequest, server: CorvoServer, injection: Injection
) -> AsyncIterator[DiskRun]:
    injection.track()
    async with DiskRun(request.node.name, server, injection) as run:
        yield run


class FailedCommit(NamedTuple):
    """A fault of the write-ahead log that fails commits, and the code of the refused calls."""

    call: Call
    effect: Effect
    value: int
    code: str


FAILED_COMMITS = {
    "write-eio": FailedCommit(Call.WRITE, Effect.FAIL, errno.EIO, "UNAVAILABLE"),
    "write-enospc": FailedCommit(Call.WRITE, Effect.FAIL, errno.ENOSPC, "STORAGE_FULL"),
    "write-edquot": FailedCommit(Call.WRITE, Effect.FAIL, errno.EDQUOT, "UNAVAILABLE"),
    "write-erofs": FailedCommit(Call.WRITE, Effect.FAIL, errno.EROFS, "UNAVAILABLE"),
    "sync-eio": FailedCommit(Call.SYNC, Effect.FAIL, errno.EIO, "OUTCOME_UNKNOWN"),
    "sync-lost": FailedCommit(Call.SYNC, Effect.LOSE, errno.EIO, "OUTCOME_UNKNOWN"),
    "sync-lost-later": FailedCommit(Call.SYNC, Effect.LOSE_LATER, errno.EIO, "OUTCOME_UNKNOWN"),
}


@pytest.mark.parametrize("cuts_power", [False, True], ids=["kill", "power-cut"])
@pytest.mark.parametrize("kind", FAILED_COMMITS.values(), ids=FAILED_COMMITS)
async def test_answers_are_true_while_commits_fail(
    run: DiskRun, kind: FailedCommit, cuts_power: bool
) -> None:
    async with ApiClient(run.server.url) as api:

        async def status() -> int:
            assert (await api.send("GET", "/healthz")).status_code == 200
            return (await api.send("GET", "/readyz")).status_code

        await run.more(100)
        once = run.injection.add(LOG, kind.call, kind.effect, kind.value, after=3, times=1)
        await run.see(lambda: once.hits, "the fault")
        once.end()
        await run.more(100)
        assert await status() == 200
        for_a_while = run.injection.add(LOG, kind.call, kind.effect, kind.value)
        await run.more(30)
        response = await api.send("GET", "/readyz")
        assert response.status_code == 503
        for_a_while.end()

        async def is_ready() -> bool:
            return await status() == 200

        await wait_until(is_ready)
        await run.more(100)
        for_ever = run.injection.add(LOG, kind.call, kind.effect, kind.value, after=5)
        await run.see(lambda: for_ever.hits > 3, "the fault")
        lost = await run.kill(cuts_power=cuts_power)
        for_ever.end()
    print({l["message"] for l in run.server.log if l["level"] in ("error", "warning")}, run.answers.codes)
    assert set(run.answers.codes) == {kind.code}
    await run.restart()
    hits = once.hits + for_a_while.hits + for_ever.hits
    run.note_figures(faults=hits, lost_pages=lost)
