"""Machines whose clocks differ by ten minutes, and clocks that jump."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.conftest import StartNodes, lack
from server_support.engines import require
from server_support.postgres import PostgresMissing, PostgresServer
from server_support.waiting import wait_blocking
from support.fault_run import FaultRun
from support.server import CorvoServer

CLOCKS = ("-10m", "+0m", "+10m")


@pytest.fixture
def faketime() -> Path:
    """The path of the library that changes the time of a process."""
    named = os.environ.get("CORVO_FAKETIME_LIBRARY")
    if named:
        return Path(named)
    folders = (Path("/usr/lib"), Path("/usr/local/lib"))
    found = [lib for folder in folders for lib in folder.glob("**/faketime/libfaketimeMT.so.1")]
    if not found:
        lack("libfaketime is not installed (Debian: apt-get install libfaketime)")
    return found[0]


async def test_nodes_with_wrong_clocks_use_the_clock_of_the_database(
    database: PostgresServer, start_nodes: StartNodes, faketime: Path
) -> None:
    env = {
        number: {
            "LD_PRELOAD": str(faketime),
            "FAKETIME": offset,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        for number, offset in enumerate(CLOCKS)
    }
    nodes = start_nodes(database.url(), env=env)
    shown = {datetime.fromisoformat(str(node.log[0]["time"])) for node in nodes}
    assert max(shown) - min(shown) > timedelta(minutes=19), "libfaketime has no effect"
    async with FaultRun("clocks ten minutes apart", nodes, database.url()) as run:
        await run.more(3000, within=120)
        run.happened["clocks apart"] = len(CLOCKS)
        await run.finish()


class Wall:
    """The wall clock of processes that are started with `env`. Their monotonic clocks stay true."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.set("+0")
        self.env: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        """Set the clock to the true time plus `offset`, like `-1h`."""
        self._file.write_text(f"{offset}\n")
        self._file.chmod(0o644)


class Place:
    """One server, and the wall clock that counts for it."""

    def __init__(self, server: CorvoServer, wall: Wall) -> None:
        self.server = server
        self.wall = wall

    def post(self, path: str, **body: Any) -> Any:
        reply = httpx.post(f"{self.server.url}/api/v1{path}", json=body, timeout=60)
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def get(self, path: str) -> Any:
        return httpx.get(f"{self.server.url}/api/v1{path}", timeout=60).raise_for_status().json()

    def fetch(self, queue: str, **options: Any) -> Any:
        """Return the next job; None if there is none within 40 s."""
        return self.post("/fetch", queues=[queue], worker_id="w", timeout=40, **options)

    def offset(self) -> float:
        return float(self.get("/cluster/status")["clock_offset_seconds"])


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path, faketime: Path) -> Iterator[Place]:
    """A server on SQLite with a wall clock to set, or on a PostgreSQL with one."""
    if request.param == "sqlite":
        wall = Wall(faketime, tmp_path / "wall")
        server = CorvoServer(tmp_path / "data", env=wall.env)
        yield Place(server.start(), wall)
        server.close()
        return
    try:
        database = PostgresServer()
    except PostgresMissing as missing:
        require(str(missing))
    wall = Wall(faketime, database.folder / "wall")  # which the user of PostgreSQL can read
    database.env = wall.env
    with database:
        server = CorvoServer(tmp_path / "data", {"database": database.init().start().url()})
        yield Place(server.start(), wall)
        server.close()


@pytest.mark.parametrize("jump", [-3600, 3600, 9 * 86_400])
def test_jump_of_the_wall_clock_delays_and_ends_nothing(jump: int, place: Place) -> None:
    place.post("/queues/limited/throttle", rate=1, period="5s")
    for queue in ("short", "long", "limited", "limited"):
        place.post("/enqueue", queue=queue, max_retries=5)
    kept = place.fetch("long", lease_duration=600)
    assert place.fetch("short", lease_duration=2)["attempt"] == 1
    assert place.fetch("limited") is not None
    place.post("/enqueue", queue="done")
    done = place.fetch("done")
    place.post(f"/ack/{done['job_id']}", lease_token=done["lease_token"])
    place.post("/enqueue", queue="delayed", delay="3s")

    place.wall.set(f"{jump:+d}")
    wait_blocking(lambda: abs(place.offset() - jump) < 1, "the server notes the jump")
    due = datetime.now(UTC) + timedelta(seconds=jump + 2)
    scheduled = place.post("/enqueue", queue="scheduled", scheduled_at=due.isoformat())

    assert place.fetch("short")["attempt"] == 2
    for queue in ("limited", "delayed", "scheduled"):
        assert place.fetch(queue) is not None
    assert place.get(f"/jobs/{kept['job_id']}")["state"] == "active"
    assert place.get(f"/jobs/{done['job_id']}")["state"] == "completed"
    shown = place.get(f"/jobs/{scheduled['job_id']}")
    for name in ("scheduled_at", "started_at"):
        assert abs(datetime.fromisoformat(shown[name]) - due) < timedelta(seconds=40)
    lines = [line for line in place.server.messages() if "jumped" in line]
    assert len(lines) == 1

    place.server.kill()
    place.server.restart()
    assert abs(place.offset() - jump) < 1
    assert place.get(f"/jobs/{kept['job_id']}")["state"] == "active"


def test_clock_set_back_while_no_server_runs_delays_nothing(place: Place) -> None:
    place.post("/enqueue", queue="short")
    assert place.fetch("short", lease_duration=2)["attempt"] == 1
    place.post("/enqueue", queue="delayed", delay="3s")
    place.server.kill()
    place.wall.set("-3600")
    place.server.restart()
    assert abs(place.offset() + 3600) < 10
    assert place.fetch("short")["attempt"] == 2
    assert place.fetch("delayed") is not None
