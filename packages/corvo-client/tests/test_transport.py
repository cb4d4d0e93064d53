"""Transports: URLs, timeouts, connections and errors."""

import asyncio
import os
import ssl
from typing import Any

import httpx
import pytest

from corvo_client import (
    NO_RETRIES,
    AsyncClient,
    BadReply,
    CallTimedOut,
    Client,
    ConnectionFailed,
    ConnectionLost,
    CorvoError,
    InvalidSetting,
    RetryPolicy,
    _origin,
)
from corvo_client._answer import Answer
from corvo_client._async import transport as async_transport
from corvo_client._async.transport import AsyncTransport
from corvo_client._call import Call
from corvo_client._origin import Origin
from corvo_client._sync import transport as sync_transport
from corvo_client._sync.transport import Transport

CALL: Call[str] = Call("GET", "/x", bytes.decode)
POLL: Call[str] = Call("POST", "/fetch", bytes.decode, b"{}", waits=20.0)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (None, "http://localhost:8080"),
        ("http://h", "http://h"),
        ("https://h:1/", "https://h:1"),
        ("https://h/prefix/?a=b#c", "https://h/prefix"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("localhost:8080", "http://localhost:8080"),
    ],
)
def test_url_is_normalized(given: str | None, url: str) -> None:
    assert Origin(given).url == url
    assert str(Origin(given).server.url_of(CALL)) == url + "/x"


@pytest.mark.parametrize("url", ["ftp://h", "/x", "http://", "http://h:x", "::::"])
def test_invalid_url_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="is not the URL of a server; write it like http://"):
        Origin(url)


def test_password_in_the_url_is_rejected_and_not_shown() -> None:
    with pytest.raises(ValueError, match="must not contain a user or a password") as caught:
        Origin("http://user:hunter2@h")
    assert "hunter2" not in str(caught.value)


# Several servers


class Cluster:
    """A handler of httpx with several servers, some of which fail."""

    def __init__(self, *, down: str = "", unwell: str = "") -> None:
        self.down = down
        self.unwell = unwell
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["host"] == request.url.netloc.decode()
        self.asked.append(request.url.host)
        if request.url.host in self.down:
            raise httpx.ConnectError("refused")
        if request.url.host in self.unwell:
            error = {"error": "no", "code": "UNAVAILABLE", "request_id": "r"}
            return httpx.Response(503, json=error)
        return httpx.Response(200, json={"server_version": "1", "api_version": "1"})


SERVERS = "http://a:1, http://b/, http://c/prefix"
QUICK = RetryPolicy(first_delay=0.001, longest_delay=0.001)


def test_servers_are_used_in_turn_from_a_random_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORVO_SERVER", SERVERS)
    first = {str(Origin().server.url_of(CALL)) for _ in range(100)}
    assert first == {"http://a:1/x", "http://b/x", "http://c/prefix/x"}
    assert Origin().url == "http://a:1,http://b,http://c/prefix"


def test_invalid_servers_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"'' is not the URL of a server"):
        Origin("http://a,")


@pytest.mark.parametrize("trouble", ["down", "unwell"])
async def test_next_server_is_used_if_one_fails(trouble: str) -> None:
    for _ in range(10):
        cluster = Cluster(**{trouble: "ac"})
        backend = httpx.MockTransport(cluster)
        with Client(SERVERS, transport=backend, retry=QUICK) as client:
            client.info()
            client.info()
        assert cluster.asked[-2:] == ["b", "b"]
        assert len(cluster.asked) <= 4
        cluster = Cluster(**{trouble: "ac"})
        backend = httpx.MockTransport(cluster)
        async with AsyncClient(SERVERS, transport=backend, retry=QUICK) as client:
            await client.info()
        assert cluster.asked[-1] == "b"


def test_simultaneous_failures_switch_the_server_once() -> None:
    origin = Origin("http://a,http://b")
    origin._at = 0
    first, second = origin.server, origin.server
    for server in (first, second):
        told = origin.explain(httpx.ReadError("gone"), CALL, server)
        assert "http://a/x" in str(told)
    assert origin.server.host == "b"
    origin.explain(httpx.PoolTimeout("busy"), CALL, origin.server)
    assert origin.server.host == "b"


@pytest.mark.parametrize("key", ["a\nb", "ключ"])
def test_invalid_key_is_rejected_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        Origin(api_key=key)
    assert key not in str(caught.value)


def test_silence_timeout_includes_the_poll() -> None:
    origin = Origin(connect_timeout=1, read_timeout=7)
    assert origin.request(CALL, origin.server).extensions["timeout"] == {
        "connect": 1,
        "read": 7,
        "write": 7,
        "pool": 7,
    }
    assert origin.silence_timeout(POLL) == 27
    assert origin.request(POLL, origin.server).extensions["timeout"]["read"] == 27


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (
            httpx.ConnectError("refused"),
            ConnectionFailed,
            "http://h (URL from the code): refused",
        ),
        (
            httpx.ConnectTimeout(""),
            ConnectionFailed,
            "http://h (URL from the code): ConnectTimeout",
        ),
        (
            httpx.ProxyError("407"),
            ConnectionFailed,
            "http://h (URL from the code): 407",
        ),
        (httpx.PoolTimeout(""), ConnectionFailed, "all 10 connections stayed busy"),
        (httpx.ReadTimeout(""), CallTimedOut, "POST http://h/fetch: no answer within 50 s"),
        (httpx.WriteTimeout(""), CallTimedOut, "no answer within 50 s"),
        (httpx.ReadError("reset"), ConnectionLost, "POST http://h/fetch: reset. The call may have"),
        (httpx.RemoteProtocolError("gone"), ConnectionLost, "gone. The call may have taken effect"),
        (httpx.StreamClosed(), ConnectionLost, "The call may have taken effect"),
        (httpx.DecodingError("gzip"), BadReply, "gzip"),
    ],
)
async def test_errors_of_httpx_are_translated(
    server: Any, failure: Exception, kind: type[CorvoError], message: str
) -> None:
    server.then(failure)
    server.then(failure)
    mock = httpx.MockTransport(server)
    with pytest.raises(kind) as caught:
        Transport(Origin("http://h"), mock).send(POLL)
    with pytest.raises(kind) as caught_async:
        await AsyncTransport(Origin("http://h"), mock).send(POLL)
    assert message in str(caught.value)
    assert str(caught_async.value) == str(caught.value)
    assert caught.value.__cause__ is failure


class Backends:
    """Replaces `Direct`. Counts the instances and records which one sends each call."""

    def __init__(self) -> None:
        self.limits: list[int | None] = []
        self.used: list[int] = []
        self.closed = 0

    def __call__(self, _origin: Origin, limit: int | None) -> Any:
        number = len(self.limits)
        self.limits.append(limit)
        backends = self

        class Backend:
            def send(self, _call: Call[Any]) -> Answer:
                backends.used.append(number)
                return Answer(200, {}, b"ok")

            def close(self) -> None:
                backends.closed += 1

        return Backend()

    def awaited(self, origin: Origin, limit: int | None) -> Any:
        """Return the asyncio version."""
        made = self(origin, limit)

        class Backend:
            async def send(self, call: Call[Any]) -> Answer:
                answer: Answer = made.send(call)
                return answer

            async def close(self) -> None:
                made.close()

        return Backend()


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> Backends:
    backends = Backends()
    monkeypatch.setattr(sync_transport, "Direct", backends)
    monkeypatch.setattr(async_transport, "AsyncDirect", backends.awaited)
    return backends


def test_polls_have_separate_connections(backends: Backends) -> None:
    transport = Transport(Origin())
    assert transport.send(CALL).body == b"ok"
    transport.send(POLL)
    assert backends.used == [0, 1]
    assert backends.limits == [10, None]
    transport.close()
    assert backends.closed == 2


def test_forked_process_has_separate_connections(
    backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = Transport(Origin())
    transport.send(CALL)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    transport.send(CALL)
    transport.send(CALL)
    assert backends.used == [0, 2, 2]


def test_second_event_loop_has_separate_connections(backends: Backends) -> None:
    transport = AsyncTransport(Origin())

    async def twice() -> None:
        await transport.send(CALL)
        await transport.send(POLL)

    asyncio.run(twice())
    asyncio.run(twice())
    assert backends.used == [0, 1, 2, 3]


async def test_async_client_closes_its_connections(backends: Backends) -> None:
    async with AsyncClient():
        pass
    with Client():
        pass
    assert backends.closed == 4


def test_authorities_are_loaded_for_tls_only() -> None:
    plain = Origin("http://h").backend_options(is_for_polls=False)["verify"]
    assert isinstance(plain, ssl.SSLContext)
    assert plain.cert_store_stats()["x509_ca"] == 0
    assert Origin("https://h").backend_options(is_for_polls=False)["verify"] is True
    assert Origin("https://h", verify=False).backend_options(is_for_polls=True)["verify"] is False


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        ("http://h", {}, None),
        ("http://h", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("https://h", {"http_proxy": "http://p:1"}, None),
        ("https://h", {"https_proxy": "p:1"}, "http://p:1"),
        ("https://h", {"all_proxy": "https://p"}, "https://p"),
        ("http://h.x", {"http_proxy": "http://p:1", "no_proxy": ".x"}, None),
    ],
)
def test_proxy_comes_from_the_environment(
    url: str, variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    options = Origin(url).backend_options(is_for_polls=False)
    assert options["proxy"] == proxy


@pytest.mark.parametrize("value", ["::::", "http://", "ftp://p", "http://p:x"])
def test_invalid_proxy_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", value)
    with pytest.raises(InvalidSetting, match="the proxy of HTTP_PROXY is not valid"):
        Client("http://h")
    monkeypatch.setenv("no_proxy", "h")
    Client("http://h").close()
    with pytest.raises(InvalidSetting, match="the proxy of proxy is not valid"):
        Client("http://h", proxy=value)


@pytest.mark.parametrize("value", ["socks5://user:hunter2@p:1", "socks5h://p"])
def test_socks_proxy_without_its_package_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", value)
    monkeypatch.setattr(_origin, "find_spec", lambda _name: None)
    with pytest.raises(
        InvalidSetting, match=r"ALL_PROXY is a SOCKS.*pip install 'httpx\[socks\]'"
    ) as e:
        Client("http://h")
    assert "hunter2" not in str(e.value)


@pytest.mark.parametrize(
    ("url", "variable", "source"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:8", "the code"),
        (None, "http://127.0.0.1:9", "CORVO_SERVER"),
        (None, "", "the default"),
    ],
)
def test_error_says_where_the_url_is_from(
    url: str | None, variable: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORVO_SERVER", variable)
    with (
        Client(url, retry=NO_RETRIES, transport=httpx.MockTransport(_refuse)) as client,
        pytest.raises(ConnectionFailed, match=rf"\(URL from {source}\)"),
    ):
        client.info()


def _refuse(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def test_proxy_can_be_passed() -> None:
    options = Origin("http://h", proxy="https://p").backend_options(is_for_polls=False)
    assert options["proxy"] == "https://p"
    assert options["verify"] is True


def test_error_of_a_refused_connection() -> None:
    with (
        Client("http://127.0.0.1:9", retry=NO_RETRIES) as client,
        pytest.raises(ConnectionFailed, match="Is the server running there"),
    ):
        client.info()
