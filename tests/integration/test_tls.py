"""HTTPS with a real server: clients, workers, the command line, reloads and shutdown."""

import asyncio
import os
import signal
import ssl
import subprocess
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from corvo_client import NO_RETRIES, AsyncClient, Client, ConnectionFailed
from corvo_client.worker import Context, Worker
from server_support.process import clean_environment, python
from server_support.tls import Authority
from server_support.waiting import wait_until
from support.api_client import ApiClient
from support.server import CorvoServer, StartServer

HEALTH_CHECK = Path(__file__).parents[2] / "docker" / "health.py"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs SIGHUP")


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that all clients of this process and its children trust."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("CORVO_CA_FILE", str(authority.file))
    return authority


@pytest.fixture
def secure(start_server: StartServer, authority: Authority) -> CorvoServer:
    """A server with TLS."""
    cert, key = authority.issue()
    return start_server(tls_cert=str(cert), tls_key=str(key))


def certificate_of(server: CorvoServer) -> str:
    """Return the certificate of a new connection."""
    return ssl.get_server_certificate(("127.0.0.1", server.port), timeout=30)


async def test_clients_and_workers_speak_tls(secure: CorvoServer, queue: str) -> None:
    assert secure.url.startswith("https://127.0.0.1:")
    worker = Worker(secure.url, concurrency=2, lease_duration=1)
    beaten = asyncio.Event()

    @worker.task(queue)
    async def double(context: Context, n: int) -> int:
        context.checkpoint({"n": n})
        await asyncio.wait_for(beaten.wait(), 30)
        return 2 * n

    async with AsyncClient(secure.url) as client:
        seen: list[str] = []

        async def watch() -> None:
            async with aclosing(client.follow_events(queues=queue, after=0)) as events:
                async for event in events:
                    seen.append(event.type)
                    if event.type == "completed":
                        return

        watching = asyncio.create_task(watch())
        enqueued = await client.enqueue(queue, {"n": 21})

        async def is_stored() -> bool:
            return (await client.get_job(enqueued.job_id)).checkpoint is not None

        async with worker:
            await wait_until(is_stored)  # by a heartbeat
            beaten.set()
            await asyncio.wait_for(watching, 30)
        job = await client.get_job(enqueued.job_id)
        assert job.result == 42
        assert job.checkpoint == {"n": 21}
        assert seen[0] == "enqueued"
    with Client(secure.url) as blocking:
        assert blocking.enqueue(queue, {"n": 1}).job_id


async def test_unknown_authority_is_refused(
    secure: CorvoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CORVO_CA_FILE")
    with (
        Client(secure.url, retry=NO_RETRIES) as client,
        pytest.raises(ConnectionFailed, match="CORVO_CA_FILE"),
    ):
        client.enqueue("q", {})


async def test_server_without_tls_is_named(server: CorvoServer) -> None:
    async with AsyncClient(server.url.replace("http://", "https://"), retry=NO_RETRIES) as client:
        with pytest.raises(ConnectionFailed, match="use a URL that starts with http://"):
            await client.enqueue("q", {})


async def test_reload_under_load_drops_no_request(
    secure: CorvoServer, authority: Authority, queue: str
) -> None:
    before = certificate_of(secure)
    is_over = False
    done = 0

    async def call() -> None:
        nonlocal done
        while not is_over:
            async with AsyncClient(secure.url, ca_file=str(authority.file)) as client:
                for _ in range(5):
                    await client.enqueue(queue, {})
                    done += 1

    async with AsyncClient(secure.url) as kept:
        await kept.enqueue(queue, {})
        waiting = asyncio.create_task(kept.fetch(["tls-none"], worker_id="w", timeout=60))
        callers = [asyncio.create_task(call()) for _ in range(4)]
        for number in range(1, 4):
            authority.issue(not_after=datetime(2100 + number, 1, 1, tzinfo=UTC))
            secure.signal(signal.SIGHUP)

            async def is_reloaded(number: int = number) -> bool:
                return sum("TLS was reloaded" in line for line in secure.messages()) == number

            await wait_until(is_reloaded)
            expected = done + 20

            async def has_gone_on(expected: int = expected) -> bool:
                return done >= expected or any(caller.done() for caller in callers)

            await wait_until(has_gone_on)
        is_over = True
        await asyncio.gather(*callers)
        assert certificate_of(secure) != before
        await kept.enqueue("tls-none", {})  # the long poll has lived through the reloads
        assert await waiting is not None
        (found,) = [each for each in await kept.list_queues() if each.name == queue]
        assert found.pending == done + 1


async def test_broken_certificate_keeps_the_old_one(
    start_server: StartServer, authority: Authority
) -> None:
    cert, key = authority.issue()
    server = start_server(expects_errors=True, tls_cert=str(cert), tls_key=str(key))
    before = certificate_of(server)
    authority.issue(not_after=datetime(2020, 1, 1, tzinfo=UTC))
    server.signal(signal.SIGHUP)

    async def is_reported() -> bool:
        return any("has expired" in line for line in server.messages())

    await wait_until(is_reported)
    assert certificate_of(server) == before


async def test_shutdown_answers_waiting_fetches(secure: CorvoServer, authority: Authority) -> None:
    async with AsyncClient(secure.url) as client:
        await client.enqueue("other", {})
        waiting = asyncio.create_task(client.fetch(["tls-none"], worker_id="w", timeout=60))
        async with ApiClient(secure.url, verify=authority.client_context()) as api:
            await api.see_waiting(1)
        code = await asyncio.to_thread(secure.stop)
        assert code == 0
        assert await waiting is None
    assert "stopping: requests in flight are done" in secure.messages()


async def test_command_line_takes_an_authority(
    secure: CorvoServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CORVO_CA_FILE")

    def corvo(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            python("-m", "corvo_cli", *arguments, "--server", secure.url),
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    refused = corvo("enqueue", "q", "{}")
    assert refused.returncode == 6
    assert "with --ca or CORVO_CA_FILE" in refused.stderr
    assert corvo("enqueue", "q", "{}", "--ca", str(authority.file)).returncode == 0
    missing = corvo("enqueue", "q", "{}", "--ca", "/no/such/file")
    assert missing.returncode == 2
    assert "cannot read '/no/such/file'" in missing.stderr


@pytest.mark.parametrize("is_tls", [True, False])
def test_health_check_of_the_image_knows_tls(secure: CorvoServer, is_tls: bool) -> None:
    variables = {"CORVO_BIND": f"127.0.0.1:{secure.port}"}
    if is_tls:
        variables["CORVO_TLS_CERT"] = "/etc/corvo/tls.crt"
    result = subprocess.run(
        python(HEALTH_CHECK),
        env={**clean_environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode == 0) is is_tls, result.stderr


def test_start_with_a_bad_certificate_says_what_to_do(authority: Authority, tmp_path: Path) -> None:
    cert, _ = authority.issue()
    _, key = authority.issue("other")
    command = ["-m", "corvo_server", "--data-dir", tmp_path / "data", "--bind", "127.0.0.1:0"]
    result = subprocess.run(
        python(*command, "--tls-cert", cert, "--tls-key", key),
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert f"Error: --tls-cert: the certificate in {cert} does not belong" in result.stderr
    assert "Traceback" not in result.stderr
