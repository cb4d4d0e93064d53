"""The fsync of the write-ahead log fails: the server does not say that nothing was done.

SQLite has written the whole transaction to the log by then. A server that is killed before its next
commit recovers it.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from corvo_client import AsyncClient, OutcomeUnknown, RetryPolicy
from corvo_schema import new_job_id
from support.api_client import ApiClient, Body, refusal_of
from support.server import CorvoServer

pytestmark = pytest.mark.sqlite

SOURCE = Path(__file__).parents[1] / "support" / "failing_sync.c"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes the fsync of a write-ahead log fail."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (Debian: apt-get install gcc)")
    library = tmp_path_factory.mktemp("library") / "failing_sync.so"
    options = ["-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]
    subprocess.run([compiler, *options], check=True)
    return library


class Disk:
    """The disk of the server, whose fsync of the log can be made to fail."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def fail(self) -> None:
        """Make every fsync fail from now on."""
        self.flag.touch()

    def recover(self) -> None:
        """Make every fsync succeed again."""
        self.flag.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "fails")


@pytest.fixture
def server(tmp_path: Path, library: Path, disk: Disk) -> Iterator[CorvoServer]:
    env = {"LD_PRELOAD": str(library), "FAILING_SYNC": str(disk.flag)}
    server = CorvoServer(tmp_path / "data", env=env).start()
    yield server
    server.close()


_TRIES = 5


async def test_job_of_unknown_outcome_may_be_there_after_a_kill(
    server: CorvoServer, disk: Disk
) -> None:
    statuses = []
    for _ in range(_TRIES):
        job: Body = {"queue": "q", "job_id": new_job_id()}
        async with ApiClient(server.url) as api:
            disk.fail()
            refusal = refusal_of(await api.send("POST", "/enqueue", job))
            server.kill()
        disk.recover()
        assert (refusal.status, refusal.code) == (500, "OUTCOME_UNKNOWN")
        assert "It is unknown whether this call was done" in refusal.error
        assert "Nothing was done" not in refusal.error
        server.restart()
        async with ApiClient(server.url) as api:
            statuses.append((await api.send("POST", "/enqueue", job)).status_code)
            assert (await api.get("/queues/q"))["enqueued"] == len(statuses)
        if 200 in statuses:
            return
        # The server writes every two seconds while commits fail. That may have replaced the job
        # in the log before the kill.
    assert 200 in statuses


async def test_job_is_stored_once_by_the_repeat_of_a_running_server(
    server: CorvoServer, disk: Disk
) -> None:
    job: Body = {"queue": "q", "job_id": new_job_id()}
    async with ApiClient(server.url) as api:
        disk.fail()
        assert refusal_of(await api.send("POST", "/enqueue", job)).code == "OUTCOME_UNKNOWN"
        assert (await api.send("GET", "/readyz")).status_code == 503
        disk.recover()
        assert (await api.send("POST", "/enqueue", job)).status_code == 201
    server.kill()
    server.restart()
    async with ApiClient(server.url) as api:
        assert (await api.get("/queues/q"))["enqueued"] == 1


async def test_client_repeats_an_enqueue_and_raises_the_outcome_of_a_move(
    server: CorvoServer, disk: Disk
) -> None:
    policy = RetryPolicy(max_attempts=3, first_delay=0.01)
    async with AsyncClient(server.url, retry=policy) as client:
        job_id, repeated = (await client.enqueue("q")).job_id, new_job_id()
        disk.fail()
        with pytest.raises(OutcomeUnknown):
            await client.move_job(job_id, "elsewhere")
        with pytest.raises(OutcomeUnknown):
            await client.enqueue("q", job_id=repeated)
        disk.recover()
        await client.enqueue("q", job_id=repeated)
        assert (await client.get_queue("q")).enqueued == 2
