"""The stop of a server: graceful at the first signal, immediate at the second."""

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from server_support.process import Process, python
from server_support.waiting import wait_until
from support.api_client import API, ApiClient
from support.connection import PartialRequest
from support.server import CorvoServer, StartServer, server_command

STEPS = [
    "stopping: no new connections are accepted",
    "stopping: answering 0 waiting fetches",
    "stopping: requests in flight are done",
    "stopping: services have ended",
    "stopped: the store is closed",
]
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_stop_is_logged_step_by_step_and_ends_with_0(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server()
    server.signal(number)
    assert await asyncio.to_thread(server.process.wait) == 0
    assert steps_of(server) == STEPS


@pytest.mark.sqlite
async def test_a_stop_leaves_all_data_in_one_file(start_server: StartServer) -> None:
    server = start_server()
    async with ApiClient(server.url) as api:
        jobs = [{"queue": "q", "payload": i} for i in range(500)]
        await api.post("/enqueue/batch", {"jobs": jobs})
        assert "corvo.db-wal" in names_in(server.data_dir)
        assert await asyncio.to_thread(server.stop) == 0
    assert names_in(server.data_dir) == ["corvo.db", "corvo.lock"]
    uri = f"{server.database.as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (500,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_request_in_flight_is_finished(start_server: StartServer) -> None:
    server = start_server()
    async with PartialRequest(
        server.port, "/enqueue", {"queue": "q", "payload": "late"}
    ) as request:
        server.signal(signal.SIGTERM)
        await see_message(server, STEPS[1])
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(server.url)
        status, answer = await request.finish()
        assert status == 201
        assert await asyncio.to_thread(server.process.wait) == 0
    assert steps_of(server) == STEPS
    server.restart()
    async with ApiClient(server.url) as api:
        assert (await api.job(answer["job_id"]))["payload"] == "late"


async def test_an_incomplete_request_is_cut_off(
    start_server: StartServer,
) -> None:
    server = start_server(shutdown_timeout="200ms")
    async with PartialRequest(server.port, "/enqueue", {"queue": "q"}) as request:
        assert await asyncio.to_thread(server.stop) == 0
        assert await request.end() == b""
    assert "stopping: 1 requests were cut off" in server.messages()
    assert server.messages()[-1] == STEPS[-1]


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_second_signal_ends_the_server_at_once(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server(shutdown_timeout="1h")
    async with ApiClient(server.url) as api:
        job_id = await api.enqueue("q")
    async with PartialRequest(server.port, "/enqueue", {"queue": "q"}):
        server.signal(signal.SIGTERM)
        await see_message(server, STEPS[1])
        server.signal(number)
        assert await asyncio.to_thread(server.process.wait) == 128 + number
    server.restart()
    async with ApiClient(server.url) as api:
        assert (await api.fetch("q"))["job_id"] == job_id


async def test_two_signals_at_once_end_a_busy_server(
    start_server: StartServer,
) -> None:
    """Both signals arrive before the event loop can react to the first."""
    server = start_server(shutdown_timeout="1h")
    async with PartialRequest(server.port, "/enqueue", {"queue": "q"}):
        server.signal(signal.SIGSTOP)
        server.signal(signal.SIGINT)
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        code = await asyncio.to_thread(server.process.wait)
        assert code in {128 + signal.SIGINT, 128 + signal.SIGTERM}


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", ["a handler", "schema migrated", "listening"])
async def test_a_signal_while_the_server_starts_ends_it_with_0(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    process = Process(server_command(tmp_path / "data", "127.0.0.1:0", {"log_format": "json"}))
    try:
        if moment == "a handler":
            process.wait_for_signal_handler()
        else:
            process.wait_for_line(lambda line: moment in line, moment)
        process.signal(number)
        assert process.wait() == 0
        assert "Traceback" not in process.output
    finally:
        process.close()
    # The next server can use the data, however far the first one came.
    server = CorvoServer(tmp_path / "data").start()
    assert server.stop() == 0
    server.close()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_a_finalizer_of_the_start_is_not_lost(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Python ignores exceptions in finalizers and in callbacks of the import system."""
    (tmp_path / "uvloop.py").write_text(
        "import signal\n"
        "class Dropped:\n"
        "    def __del__(self):\n"
        f"        signal.raise_signal({int(number)})\n"
        "        self.is_gone = True\n"
        "Dropped()\n"
    )
    command = server_command(tmp_path / "data", "127.0.0.1:0", {"log_format": "json"})
    process = Process(command, env={"PYTHONPATH": str(tmp_path)})
    try:
        assert process.wait() == 0
        assert "listening" not in process.output
    finally:
        process.close()


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_backup_does_not_exit_with_0(tmp_path: Path, number: signal.Signals) -> None:
    server = CorvoServer(tmp_path).start()
    assert server.stop() == 0
    server.close()
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(server.database)) as lock:
        lock.execute("PRAGMA locking_mode = EXCLUSIVE")
        lock.execute("BEGIN EXCLUSIVE")  # the backup waits for it
        process = Process(python("-m", "corvo_server", "--data-dir", tmp_path, "backup", copy))
        try:
            process.wait_for_signal_handler()
            process.wait_for_no_signal_handler()
            process.signal(number)
            assert process.wait() == -number
        finally:
            process.close()
    assert not copy.exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_that_is_stopped_at_its_start_does_not_exit_with_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = Process(python("-m", "corvo_server", "--data-dir", tmp_path, "check"))
    try:
        process.wait_for_signal_handler()
        process.signal(number)
        # Its handler ended it, or the system did if the handler was not installed yet.
        assert process.wait() in {128 + number, -number}
        assert "Traceback" not in process.output
    finally:
        process.close()


async def test_a_stop_under_load_loses_nothing_that_was_acknowledged(
    start_server: StartServer,
) -> None:
    server = start_server()
    acknowledged: list[str] = []

    async def produce(api: ApiClient) -> None:
        while True:
            try:
                response = await api.send("POST", "/enqueue", {"queue": "q"})
            except httpx.TransportError:
                return
            if response.status_code == 201:
                acknowledged.append(response.json()["job_id"])
            else:
                assert (response.status_code, response.json()["code"]) == (503, "UNAVAILABLE")
                assert int(response.headers["retry-after"]) >= 1

    async with ApiClient(server.url) as api:
        producers = [asyncio.create_task(produce(api)) for _ in range(20)]
        await wait_until(lambda: len(acknowledged) >= 300)
        assert await asyncio.to_thread(server.stop) == 0
        await asyncio.gather(*producers)
    assert server.messages()[-1] == STEPS[-1]
    server.restart()
    async with ApiClient(server.url) as api:
        found = await api.post("/jobs/bulk-get", {"job_ids": acknowledged})
        assert [job["id"] for job in found["jobs"]] == acknowledged


async def test_event_streams_end_at_a_stop(start_server: StartServer) -> None:
    server = start_server()
    async with (
        ApiClient(server.url) as api,
        httpx.AsyncClient(timeout=60) as client,
        client.stream("GET", f"{server.url}{API}/events") as response,
    ):
        lines = response.aiter_lines()
        assert await anext(lines) == ": following"
        job_id = await api.enqueue("q")
        stop = asyncio.create_task(asyncio.to_thread(server.stop))
        rest = [line async for line in lines]
        assert await stop == 0
    assert "event: enqueued" in rest
    assert any(job_id in line for line in rest)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def see_message(server: CorvoServer, message: str) -> None:
    await wait_until(lambda: message in server.messages(), message)


def steps_of(server: CorvoServer) -> list[str]:
    """Return the log messages about the stop."""
    return [told for told in server.messages() if told.startswith("stop")]
