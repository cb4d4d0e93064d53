"""HTTP: the only file that knows httpx.

Requests go straight to httpx's transports. What `httpx.Client` does around them (cookies,
redirects, authentication flows) takes a third of the time of a request, and none of it is needed.
"""

import asyncio
import os
import platform
import random
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.request import getproxies, proxy_bypass

import httpx

from corvo_client.__about__ import __version__
from corvo_client._call import Call
from corvo_client._errors import (
    BadReply,
    CallTimedOut,
    ConnectionFailed,
    ConnectionLost,
    TransportError,
)

DEFAULT_URL = "http://localhost:8080"
Backend = httpx.BaseTransport
AsyncBackend = httpx.AsyncBaseTransport

_MAX_CONNECTIONS = 10
_KEEPALIVE_SECONDS = 30.0
_UNAVAILABLE = 503
_SERVER = "corvo_server"
"""The extension of a request that tells which of the servers it goes to."""


# Most calls go to one of a few paths, and reading a URL takes as long as all the rest of a request.
_url = lru_cache(maxsize=64)(httpx.URL)


class Answer(NamedTuple):
    """What came back: the status, the headers (in any case of letters), the body as it is."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Streaming(NamedTuple):
    """What comes back piece by piece."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


class AsyncStreaming(NamedTuple):
    """What comes back piece by piece."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]


class Origin:
    """Where the server is, how it is reached, and what every request to it has in common.

    `base_url` falls back to CORVO_SERVER, then to `http://localhost:8080`; `api_key` to
    CORVO_API_KEY; `proxy` to the usual environment variables. `verify` is False, or an SSL context,
    e.g. one with a private authority or a client certificate. Timeouts are in seconds. Raises
    ValueError for a URL that is none of a server's.

    `base_url` may name several servers of one cluster, with commas between them. One of them, drawn
    at random, gets the requests until it fails to answer or says that it cannot serve; then the
    next one gets those that follow.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        verify: ssl.SSLContext | bool = True,
        proxy: str | None = None,
    ) -> None:
        text = base_url or os.environ.get("CORVO_SERVER") or DEFAULT_URL
        urls = [_server_url(part.strip()) for part in text.split(",")]
        self._servers = [str(url).rstrip("/") for url in urls]
        self._at = random.randrange(len(urls))  # noqa: S311 - spreads the load
        self.url = ",".join(self._servers)
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._headers = [self._common_headers(url, api_key, headers or {}) for url in urls]
        self._proxy = proxy or _environment_proxy(urls[0])
        uses_tls = "https" in {*(url.scheme for url in urls), httpx.URL(self._proxy or "").scheme}
        # Loading the authorities takes longer than all the rest of making a client.
        self._verify = verify if uses_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    @staticmethod
    def _common_headers(
        url: httpx.URL, api_key: str | None, headers: Mapping[str, str]
    ) -> list[tuple[bytes, bytes]]:
        key = (api_key or os.environ.get("CORVO_API_KEY") or "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ValueError("the API key must be printable ASCII text")
        agent = f"corvo-client/{__version__} python/{platform.python_version()}"
        common = {"Host": url.netloc.decode(), "Accept": "application/json", "User-Agent": agent}
        if key:
            common["Authorization"] = f"Bearer {key}"
        return httpx.Headers({**common, **headers}).raw

    def backend_options(self, *, is_for_polls: bool) -> dict[str, Any]:
        """Return the arguments of an httpx transport. Long polls each hold a connection."""
        limits = httpx.Limits(
            max_connections=None if is_for_polls else _MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        )
        return {"verify": self._verify, "proxy": self._proxy, "limits": limits}

    def request(self, call: Call[Any]) -> httpx.Request:
        """Write a call as a request to the server whose turn it is."""
        at = self._at
        headers = self._headers[at]
        if call.body is not None:
            length = b"%d" % len(call.body)
            headers = [
                *headers,
                (b"Content-Type", b"application/json"),
                (b"Content-Length", length),
            ]
        elif call.verb != "GET":
            headers = [*headers, (b"Content-Length", b"0")]
        reading = self._read_timeout + call.waits
        timeout = {
            "connect": self._connect_timeout,
            "read": reading,
            "write": self._read_timeout,
            "pool": reading,
        }
        return httpx.Request(
            call.verb,
            _url(self._servers[at] + call.path),
            headers=headers,
            stream=httpx.ByteStream(call.body or b""),
            extensions={"timeout": timeout, _SERVER: at},
        )

    def note(self, status: int, request: httpx.Request) -> None:
        """Go on to the next server if this one says that it cannot serve."""
        if status == _UNAVAILABLE:
            self._turn_from(request)

    def explain(self, error: Exception, call: Call[Any], request: httpx.Request) -> TransportError:
        """Say what a failure of httpx means for the caller, and go on to the next server."""
        server = self._servers[request.extensions[_SERVER]]
        where = f"{call.verb} {server}{call.path}"
        if not isinstance(error, httpx.PoolTimeout):
            self._turn_from(request)
        why = str(error) or type(error).__name__
        match error:
            case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
                return ConnectionFailed(
                    f"cannot connect to {server}: {why}. Is the server running there? Set "
                    "CORVO_SERVER, or pass its URL"
                )
            case httpx.PoolTimeout():
                return ConnectionFailed(
                    f"{where}: all {_MAX_CONNECTIONS} connections were busy for too long"
                )
            case httpx.TimeoutException():
                seconds = self._read_timeout + call.waits
                return CallTimedOut(
                    f"{where}: no answer within {seconds:g} s. It may have taken effect"
                )
            case httpx.DecodingError() | httpx.UnsupportedProtocol():
                return BadReply(f"{where}: {why}")
            case _:
                return ConnectionLost(f"{where}: {why}. It may have taken effect")

    def _turn_from(self, request: httpx.Request) -> None:
        """Let the next server have its turn, unless another request saw to that already."""
        at = request.extensions[_SERVER]
        if self._at == at:
            self._at = (at + 1) % len(self._servers)


class Transport:
    """Sends calls and returns answers, whatever they say. For any number of threads.

    Raises `TransportError` when no answer came. `backend` replaces the network.
    """

    def __init__(self, origin: Origin, backend: Backend | None = None) -> None:
        self._origin = origin
        self._backend = backend
        self._connect()

    def _connect(self) -> None:
        self._process = os.getpid()
        self._calls, self._polls = [
            self._backend or httpx.HTTPTransport(**self._origin.backend_options(is_for_polls=flag))
            for flag in (False, True)
        ]

    def send(self, call: Call[Any]) -> Answer:
        """Send one call."""
        self._enter_process()
        backend = self._polls if call.waits else self._calls
        request = self._origin.request(call)
        try:
            response = backend.handle_request(request)
            self._origin.note(response.status_code, request)
            try:
                body = response.read()
            finally:
                response.close()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._origin.explain(error, call, request) from error
        return Answer(response.status_code, response.headers, body)

    @contextmanager
    def open(self, call: Call[Any]) -> Iterator[Streaming]:
        """Send one call, and hand out what comes back as it comes."""
        self._enter_process()
        request = self._origin.request(call)
        try:
            response = self._polls.handle_request(request)
            self._origin.note(response.status_code, request)
            try:
                yield Streaming(response.status_code, response.headers, response.iter_bytes())
            finally:
                response.close()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._origin.explain(error, call, request) from error

    def _enter_process(self) -> None:
        if self._process != os.getpid():
            # A forked process must not talk over the connections of its parent.
            self._connect()

    def close(self) -> None:
        """Close all connections."""
        self._calls.close()
        self._polls.close()


class AsyncTransport:
    """Sends calls and returns answers, whatever they say. For one event loop at a time.

    Raises `TransportError` when no answer came. `backend` replaces the network.
    """

    def __init__(self, origin: Origin, backend: AsyncBackend | None = None) -> None:
        self._origin = origin
        self._backend = backend
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connect()

    def _connect(self) -> None:
        self._calls, self._polls = [
            self._backend
            or httpx.AsyncHTTPTransport(**self._origin.backend_options(is_for_polls=flag))
            for flag in (False, True)
        ]

    async def send(self, call: Call[Any]) -> Answer:
        """Send one call."""
        self._enter_loop()
        backend = self._polls if call.waits else self._calls
        request = self._origin.request(call)
        try:
            response = await backend.handle_async_request(request)
            self._origin.note(response.status_code, request)
            try:
                body = await response.aread()
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._origin.explain(error, call, request) from error
        return Answer(response.status_code, response.headers, body)

    @asynccontextmanager
    async def open(self, call: Call[Any]) -> AsyncIterator[AsyncStreaming]:
        """Send one call, and hand out what comes back as it comes."""
        self._enter_loop()
        request = self._origin.request(call)
        try:
            response = await self._polls.handle_async_request(request)
            self._origin.note(response.status_code, request)
            try:
                yield AsyncStreaming(response.status_code, response.headers, response.aiter_bytes())
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._origin.explain(error, call, request) from error

    def _enter_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                # The connections of a loop that has ended cannot even be closed any more.
                self._connect()
            self._loop = loop

    async def close(self) -> None:
        """Close all connections."""
        await self._calls.aclose()
        await self._polls.aclose()


def _server_url(text: str) -> httpx.URL:
    url = httpx.URL(text)
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{text!r} is not a server's URL; write it like {DEFAULT_URL}")
    if url.userinfo:
        raise ValueError("the server's URL must not hold a password; use api_key instead")
    return url.copy_with(query=None, fragment=None)


def _environment_proxy(url: httpx.URL) -> str | None:
    proxies = getproxies()
    if not proxies or proxy_bypass(url.host):
        return None
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
