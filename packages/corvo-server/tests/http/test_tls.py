"""HTTPS: everything that holds for connections also holds for those over TLS."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sanic import Request

from corvo_schema.states import EventType, JobState
from corvo_server.certificates import TlsFiles, load_tls
from corvo_server.engine.engine import Engine
from corvo_server.http import connection as connection_module
from corvo_server.http import middleware
from corvo_server.http.client_certificate import ClientCertificate, client_certificate
from corvo_server.http.secure import Tls
from corvo_server.http.tcp_info import TcpInfo
from server_support.bench import Bench, until
from server_support.http import API, Connection, HttpServer, request, serve
from server_support.loop_time import LoopTime
from server_support.tls import Authority, TlsClient
from server_support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENQUEUE = request("POST", f"{API}/enqueue", {"queue": "tls"})
GET = request("GET", f"{API}/info")
FETCH = request("POST", f"{API}/fetch", {"queues": ["none"], "worker_id": "w", "timeout": 30})
LARGE = "x" * 250_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls(authority: Authority) -> Tls:
    return authority.tls()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(bench: Bench, authority: Authority, tls: Tls) -> AsyncIterator[HttpServer]:
    """A server over TLS."""
    async with serve(bench.engine, tls=tls) as server:
        server.client_tls = authority.client_context()
        yield server


async def connect(server: HttpServer, **options: Any) -> TlsClient:
    assert server.client_tls is not None
    return await TlsClient.connect(server.port, server.client_tls, **options)


async def plain(server: HttpServer, data: bytes = b"") -> Connection:
    """Connect without TLS, and send bytes."""
    connection = Connection(*await asyncio.open_connection(server.host, server.port))
    await connection.send(data)
    return connection


async def test_both_paths_are_served(server: HttpServer) -> None:
    connection = await server.connect()
    for data, status in ((ENQUEUE, 201), (GET, 200), (ENQUEUE + GET, 201), (b"", 200)):
        await connection.send(data)
        assert (await connection.receive()).status == status
    connection.close()


async def test_large_bodies_and_replies_arrive(bench: Bench, server: HttpServer) -> None:
    body = {"queue": "large", "payload": LARGE}
    assert (await server.post("/enqueue", body)).status == 201
    fetch = {"queues": ["large"], "worker_id": "w", "timeout": 0}
    reply = await server.post("/fetch", fetch)
    assert reply.json["payload"] == LARGE


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_current_versions_are_accepted(
    server: HttpServer, authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.client_context()
    context.minimum_version = context.maximum_version = version
    client = await TlsClient.connect(server.port, context)
    await client.send(GET)
    assert (await client.read()).startswith(b"HTTP/1.1 200 OK")
    client.break_off()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_version_is_refused(server: HttpServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        await TlsClient.connect(server.port, context)


# Connections that are not TLS, or never become it


@pytest.mark.parametrize("data", [GET, ENQUEUE, b"GET", b"POST /x HTTP/1.1\r\n"])
async def test_plain_http_is_told_to_use_https(server: HttpServer, data: bytes) -> None:
    connection = await plain(server, data)
    reply = await asyncio.wait_for(connection.receive(), 10)
    assert reply.status == 400
    assert "https://" in reply.json["error"]
    assert await connection.at_end()
    connection.close()


@pytest.mark.parametrize(
    "data",
    [b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"\xff" * 9000, b"get /"],
    ids=["zeros", "large", "lower"],
)
async def test_other_bytes_end_the_connection(
    server: HttpServer, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    connection = await plain(server, data)
    rest = await asyncio.wait_for(connection.reader.read(), 10)
    assert not rest or rest[0] == 21  # an alert of TLS
    connection.close()
    assert not [record for record in caplog.records if record.exc_info]
    await until(lambda: not server.http.connections)


async def test_failed_handshakes_are_logged_once_a_minute(
    bench: Bench, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(Engine(bench.store, clock=bench.clock), tls=authority.tls()) as server:
        for _ in range(3):
            connection = await plain(server, b"\0" * 20)
            await connection.reader.read()
            connection.close()
    (record,) = [record for record in caplog.records if "handshake failed" in record.getMessage()]
    assert record.__dict__["fields"]["client"] == "127.0.0.1"


@pytest.mark.parametrize("is_dripping", [False, True])
async def test_slow_handshake_ends_with_the_deadline(
    bench: Bench, authority: Authority, monkeypatch: pytest.MonkeyPatch, is_dripping: bool
) -> None:
    time = LoopTime(monkeypatch)
    async with serve(Engine(bench.store, clock=bench.clock), tls=authority.tls()) as server:
        connection = await plain(server)
        await until(lambda: len(server.http.connections) == 1)
        for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc":  # how TLS begins
            await time.forward(1)
            if is_dripping:
                await connection.send(bytes([byte]))
        assert server.http.connections
        await time.forward(1.1)
        assert await asyncio.wait_for(connection.at_end(), 10)
        connection.close()
        await until(lambda: not server.http.connections)


async def test_handshakes_count_as_connections(bench: Bench, authority: Authority) -> None:
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, tls=authority.tls(), max_connections=3) as server:
        server.client_tls = authority.client_context()
        waiting = [await plain(server) for _ in range(3)]
        await until(lambda: len(server.http.connections) == 3)
        assert (await server.get("/info")).status == 503
        assert (await server.call("GET", "/healthz")).status == 200
        for connection in waiting:
            connection.close()
        await until(lambda: not server.http.connections)
        assert (await server.get("/info")).status == 200


# The end of a connection


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (ENQUEUE, [201]),
        (GET, [200]),
        (ENQUEUE + GET, [201, 200]),
        (GET[:-1], [400]),
        (ENQUEUE[:-1], [400]),
        (b"", []),
        (
            request("POST", f"{API}/fetch", {"queues": ["none"], "worker_id": "w", "timeout": 30}),
            [204],
        ),
    ],
)
@pytest.mark.parametrize("says_end", [True, False])
async def test_half_closed_request_is_answered(
    server: HttpServer, data: bytes, statuses: list[int], says_end: bool
) -> None:
    client = await connect(server)
    if data:
        await client.send(data)
    if says_end:
        await client.end()
    client.link.shutdown(socket.SHUT_WR)
    text = await asyncio.wait_for(client.read_all(), 10)
    found = [int(part[:3]) for part in text.decode().split("HTTP/1.1 ")[1:]]
    assert found == statuses
    client.break_off()
    await until(lambda: not server.http.connections)


@pytest.mark.parametrize("is_reset", [True, False])
async def test_waiting_fetch_ends_with_its_client(
    bench: Bench, server: HttpServer, is_reset: bool
) -> None:
    fetch = {"queues": ["tls-wait"], "worker_id": "w", "timeout": 30}
    client = await connect(server)
    await client.send(request("POST", f"{API}/fetch", fetch))
    await until(lambda: bench.engine.notifier.waiting == 1 and bench.store.backlog == 0)
    if is_reset:
        client.break_off()
    else:
        client.link.close()
    await until(lambda: bench.engine.notifier.waiting == 0)
    job_id = await bench.enqueue("tls-wait")
    assert await bench.state(job_id) is JobState.PENDING
    await bench.engine.jobs.cancel(job_id)


async def test_event_stream_is_served(bench: Bench, server: HttpServer) -> None:
    connection = await server.connect()
    await connection.send(request("GET", f"{API}/events?queue=tls-events"))
    await connection.reader.readuntil(b": following")
    job_id = await bench.enqueue("tls-events")
    await asyncio.wait_for(connection.reader.readuntil(job_id.encode()), 10)
    connection.close()


# Jobs that do not arrive


@pytest.mark.parametrize("closes", [False, True])
async def test_job_goes_back_when_the_connection_breaks(
    bench: Bench, server: HttpServer, closes: bool
) -> None:
    job_id = await bench.enqueue("tls-lost", payload=LARGE, max_retries=0)
    body = {"queues": ["tls-lost"], "worker_id": "w", "timeout": 0}
    headers = {"connection": "close"} if closes else {}
    client = await connect(server, receive_bytes=4096)
    await client.send(request("POST", f"{API}/fetch", body, headers=headers))
    assert b" 200 OK" in await client.read(100)
    assert await bench.state(job_id) is JobState.ACTIVE
    client.break_off()

    async def is_pending() -> bool:
        return await bench.state(job_id) is JobState.PENDING

    await wait_until(is_pending)
    reason = {"reason": "not delivered to the worker"}
    assert await bench.last_event(job_id) == (EventType.RELEASED, reason)
    await bench.engine.jobs.cancel(job_id)


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("size", [10, 60_000, 250_000])
async def test_job_stays_with_a_client_that_received_it(
    bench: Bench, server: HttpServer, size: int, closes: bool
) -> None:
    job_id = await bench.enqueue("tls-kept", payload="x" * size)
    body = {"queues": ["tls-kept"], "worker_id": "w", "timeout": 0}
    headers = {"connection": "close"} if closes else {}
    client = await connect(server, receive_bytes=4096)
    await client.send(request("POST", f"{API}/fetch", body, headers=headers))
    data = b""
    while not data.endswith(b"}") or data.count(b"x") < size:
        data += await asyncio.wait_for(client.read(3000), 10)
    if closes:
        assert await asyncio.wait_for(client.read(), 10) == b""  # the server has announced its end
    client.link.close()
    await until(lambda: not server.http.connections)
    await bench.settle()
    assert await bench.state(job_id) is JobState.ACTIVE


async def test_client_that_never_reads_is_cut_off(
    bench: Bench, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = LoopTime(monkeypatch)
    job_id = await bench.enqueue("tls-unread", payload=LARGE)
    body = {"queues": ["tls-unread"], "worker_id": "w", "timeout": 0}
    async with serve(Engine(bench.store, clock=bench.clock), tls=authority.tls()) as server:
        server.client_tls = authority.client_context()
        client = await connect(server, receive_bytes=4096)
        await client.send(request("POST", f"{API}/fetch", body))
        await client.read(100)
        for _ in range(9):
            await time.forward(10)

        async def is_pending() -> bool:
            return await bench.state(job_id) is JobState.PENDING

        await wait_until(is_pending)
        client.break_off()
    await bench.engine.jobs.cancel(job_id)


@pytest.mark.parametrize("arrives", [False, True])
async def test_bytes_of_the_handshake_do_not_count_for_a_reply(
    bench: Bench, server: HttpServer, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    job_id = await bench.enqueue("tls-counts", max_retries=0)
    body = {"queues": ["tls-counts"], "worker_id": "w", "timeout": 0}
    client = await connect(server)
    await until(lambda: len(server.http.connections) == 1)
    (connection,) = server.http.connections
    transport = connection._tls_transport
    await until(lambda: transport.is_ready)
    before = transport.written
    assert before > 1000
    monkeypatch.setattr(
        connection_module,
        "read_tcp_info",
        lambda _: TcpInfo(False, transport.written if arrives else before),
    )
    await client.send(request("POST", f"{API}/fetch", body))
    assert job_id.encode() in await client.read()
    client.break_off()
    await until(lambda: not server.http.connections)
    await bench.settle()
    assert await bench.state(job_id) is (JobState.ACTIVE if arrives else JobState.PENDING)
    if not arrives:
        await bench.engine.jobs.cancel(job_id)


# Certificates


async def test_new_certificate_holds_for_new_connections(
    server: HttpServer, authority: Authority, tls: Tls
) -> None:
    old = await connect(server)
    before = old.session.getpeercert(binary_form=True)
    tls.context = authority.tls().context
    new = await connect(server)
    after = new.session.getpeercert(binary_form=True)
    assert before != after
    for client in (old, new):
        await client.send(GET)
        assert (await client.read()).startswith(b"HTTP/1.1 200 OK")
        client.break_off()


class Seen:
    """The certificate of the client of the last request."""

    certificate: ClientCertificate | None = None


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen = Seen()
    true_id = middleware.request_id

    def note(request: Request) -> str:
        seen.certificate = client_certificate(request)
        return true_id(request)

    monkeypatch.setattr(middleware, "request_id", note)
    return seen


async def test_certificate_of_a_client_is_known(
    bench: Bench, authority: Authority, tmp_path: Path, seen: Seen
) -> None:
    tls = authority.tls(client_ca=authority.file)
    issued = authority.issue("client", ["worker.internal"], common_name="a, CN=admin")
    async with serve(Engine(bench.store, clock=bench.clock), tls=tls) as server:
        server.client_tls = authority.client_context()
        assert (await server.get("/info")).status == 200
        assert seen.certificate is None
        server.client_tls = authority.client_context(issued)
        assert (await server.get("/info")).status == 200
        found = seen.certificate
        assert found is not None
        assert found.common_name == "a, CN=admin"
        assert r"CN=a\, CN\=admin" in found.subject
        assert found.names == ("DNS:worker.internal",)
        assert len(found.fingerprint) == 64
        strange = Authority(tmp_path).issue("client", ["worker.internal"])
        server.client_tls = authority.client_context(strange)
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await server.get("/info")


async def test_certificate_of_a_client_can_be_required(bench: Bench, authority: Authority) -> None:
    files = TlsFiles(*authority.issue(), client_ca=authority.file, requires_client=True)
    tls = Tls(*load_tls(files))
    async with serve(Engine(bench.store, clock=bench.clock), tls=tls) as server:
        server.client_tls = authority.client_context()
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await server.get("/info")
        server.client_tls = authority.client_context(authority.issue("client", ["worker"]))
        assert (await server.get("/info")).status == 200


async def test_certificate_without_authorities_is_not_known(server: HttpServer, seen: Seen) -> None:
    assert (await server.get("/info")).status == 200
    assert seen.certificate is None


async def test_strict_transport_security_is_sent_over_tls(
    bench: Bench, authority: Authority
) -> None:
    engine, tls = Engine(bench.store, clock=bench.clock), authority.tls()
    options = {"hsts": "365d", "tls_cert": "cert.pem", "tls_key": "key.pem"}
    async with serve(engine, tls=tls, **options) as server:
        server.client_tls = authority.client_context()
        headers = (await server.get("/info")).headers
        assert headers["strict-transport-security"] == "max-age=31536000"
