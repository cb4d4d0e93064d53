"""Server addresses, connection settings, and the errors of failed connections."""

import platform
import random
import ssl
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import Any, Literal
from urllib.request import getproxies, proxy_bypass

import httpx

from corvo_client.__about__ import __version__
from corvo_client._api_key import find_api_key
from corvo_client._call import Call
from corvo_client._documents import Codec
from corvo_client._errors import (
    BadReply,
    CallTimedOut,
    ConnectionFailed,
    ConnectionLost,
    InvalidSetting,
    TransportError,
)
from corvo_client._redirect import environment_server, key_of_test
from corvo_client._sealing import sealing_of
from corvo_client._tls import advice, verification

DEFAULT_URL = "http://localhost:8080"
MAX_CONNECTIONS = 10
KEEPALIVE_SECONDS = 30.0
_UNAVAILABLE = 503
_TLS_VARIABLES = "SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE"
_SOCKS = ("socks5", "socks5h")

# Most calls use one of a few paths. Parsing a URL takes as long as the rest of a request.
_url = lru_cache(maxsize=64)(httpx.URL)


@dataclass(frozen=True, eq=False, slots=True)
class ServerAddress:
    """One server: its address, and the headers of every request to it."""

    url: str
    host: str
    port: int
    is_tls: bool
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    """They contain the API key."""

    def url_of(self, call: Call[Any]) -> httpx.URL:
        """Return the URL of a call."""
        return _url(self.url + call.path)


class Origin:
    """The server, or the servers of one cluster, with their connection settings.

    `base_url` falls back to CORVO_SERVER, then to `http://localhost:8080`; `api_key` to
    CORVO_API_KEY, then to what the file CORVO_API_KEY_FILE holds; `proxy` to the usual environment
    variables; `codec` to CORVO_CODEC_KEYS or CORVO_CODEC_KEYS_FILE, unless it is False. `verify` is
    False, or an SSL context, e.g. one with a client certificate. `ca_file` is a file of authorities
    in PEM, and falls back to CORVO_CA_FILE; the certificate of the client is that of
    CORVO_CLIENT_CERT and CORVO_CLIENT_KEY. Timeouts are in seconds. `source` says where `base_url`
    is from, for messages. Raises `InvalidSetting`.

    `base_url` may list several servers of one cluster, separated by commas. A random one gets all
    requests. When it does not answer, or answers with 503, the next one gets the next requests.
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
        ca_file: str | None = None,
        proxy: str | None = None,
        source: str = "the code",
        codec: Codec | Literal[False] | None = None,
    ) -> None:
        named = environment_server()
        text = base_url or named or DEFAULT_URL
        self._source = source if base_url else "CORVO_SERVER" if named else "the default"
        urls = [_server_url(part.strip(), self._source) for part in text.split(",")]
        self.servers = [
            _make_server(url, _common_headers(url, api_key, headers or {})) for url in urls
        ]
        self._at = random.randrange(len(urls))  # noqa: S311 - spreads the load
        self.url = ",".join(server.url for server in self.servers)
        self.connect_timeout = connect_timeout
        self.read_timeout = read_timeout
        self.proxy = _proxy(proxy, "proxy") if proxy else _environment_proxy(urls[0])
        uses_tls = "https" in {*(url.scheme for url in urls), httpx.URL(self.proxy or "").scheme}
        # Without TLS, an empty context avoids loading the authorities: that takes longer than
        # the rest of creating a client.
        self._verify = (
            verification(verify, ca_file, httpx.create_ssl_context)
            if uses_tls
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        self.sealing = sealing_of(codec)

    @property
    def server(self) -> ServerAddress:
        """Server that gets the next request."""
        return self.servers[self._at]

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """SSL context of connections that do not go through httpx."""
        try:
            context = httpx.create_ssl_context(self._verify)
        except OSError as error:
            raise InvalidSetting(f"cannot prepare TLS: {error}. Check {_TLS_VARIABLES}") from error
        context.set_alpn_protocols(["http/1.1"])
        return context

    def moved_to(self, url: str) -> "Origin":
        """Return an origin with the same timeouts for the server of a test.

        It has the API key of the test, no headers and no proxy, which belong to the other server.
        """
        if self.url == url:
            return self
        moved = copy(self)
        source, key = "CORVO_TEST_SERVER", key_of_test()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        moved.servers = [_make_server(_server_url(url, source), _headers(httpx.URL(url), headers))]
        moved._source = source  # noqa: SLF001 - a copy of this object
        moved.url, moved.proxy, moved._at = url, None, 0  # noqa: SLF001 - a copy of this object
        return moved

    def silence_timeout(self, call: Call[Any]) -> float:
        """Return how many seconds the server may send nothing before the call fails."""
        return _limited(self.read_timeout + call.waits, call.within)

    # For httpx

    def backend_options(self, *, is_for_polls: bool) -> dict[str, Any]:
        """Return the arguments of an httpx transport. Long polls have no connection limit."""
        limits = httpx.Limits(
            max_connections=None if is_for_polls else MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )
        return {"verify": self._verify, "proxy": self.proxy, "limits": limits}

    def request(self, call: Call[Any], server: ServerAddress) -> httpx.Request:
        """Return the httpx request for a call."""
        headers = server.headers
        if call.body is not None:
            length = b"%d" % len(call.body)
            headers = [
                *headers,
                (b"Content-Type", b"application/json"),
                (b"Content-Length", length),
            ]
        elif call.verb != "GET":
            headers = [*headers, (b"Content-Length", b"0")]
        silence_timeout = self.silence_timeout(call)
        timeout = {
            "connect": _limited(self.connect_timeout, call.within),
            "read": silence_timeout,
            "write": _limited(self.read_timeout, call.within),
            "pool": silence_timeout,
        }
        return httpx.Request(
            call.verb,
            server.url_of(call),
            headers=headers,
            stream=httpx.ByteStream(call.body or b""),
            extensions={"timeout": timeout},
        )

    def explain(self, error: Exception, call: Call[Any], server: ServerAddress) -> TransportError:
        """Return the client's error for an error of httpx."""
        match error:
            case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
                return self.unreachable(server, error)
            case httpx.PoolTimeout():
                return self.busy(call, server)
            case httpx.TimeoutException():
                return self.silent(call, server)
            case httpx.DecodingError() | httpx.UnsupportedProtocol():
                self._leave(server)
                return BadReply(f"{_where(call, server)}: {_words(error)}")
            case _:
                return self.lost(call, server, error)

    # Errors. Each one except `busy` switches to the next server.

    def busy(self, call: Call[Any], server: ServerAddress) -> ConnectionFailed:
        """Return the error for a call that waited too long for a free connection."""
        return ConnectionFailed(
            f"{_where(call, server)}: all {MAX_CONNECTIONS} connections stayed busy for "
            f"{self.silence_timeout(call):g} s. Make fewer calls at a time"
        )

    def unreachable(self, server: ServerAddress, error: Exception) -> ConnectionFailed:
        """Return the error for a connection that could not be opened. Switch servers."""
        self._leave(server)
        words = _words(error)
        hint = advice(words) or (
            " Is the server running there? The URL is taken from the code, else from CORVO_SERVER"
        )
        return ConnectionFailed(
            f"cannot connect to {server.url} (URL from {self._source}): {words}.{hint}"
        )

    def silent(self, call: Call[Any], server: ServerAddress) -> CallTimedOut:
        """Return the error for an answer that did not arrive in time. Switch servers."""
        self._leave(server)
        return CallTimedOut(
            f"{_where(call, server)}: no answer within {self.silence_timeout(call):g} s. "
            "The call may have taken effect"
        )

    def lost(self, call: Call[Any], server: ServerAddress, error: Exception) -> ConnectionLost:
        """Return the error for a broken connection or an unreadable answer. Switch servers."""
        self._leave(server)
        return ConnectionLost(
            f"{_where(call, server)}: {_words(error)}. The call may have taken effect"
        )

    def note(self, status: int, server: ServerAddress) -> None:
        """Switch to the next server if the status is 503."""
        if status == _UNAVAILABLE:
            self._leave(server)

    def _leave(self, server: ServerAddress) -> None:
        """Switch to the next server, unless another request has done that."""
        at = self._at
        if self.servers[at] is server:
            self._at = (at + 1) % len(self.servers)


def _limited(seconds: float, within: float | None) -> float:
    return seconds if within is None else min(seconds, within)


def _server_url(text: str, source: str) -> httpx.URL:
    # A bad URL in the code shows where it is by its traceback.
    origin = f" (from {source})" if source == "CORVO_SERVER" else ""
    url = _parsed(text if "://" in text else f"http://{text}")
    if url is None or url.scheme not in {"http", "https"} or not url.host:
        raise InvalidSetting(
            f"{text!r}{origin} is not the URL of a server; write it like {DEFAULT_URL}"
        )
    if url.userinfo:
        raise InvalidSetting(
            f"the URL of the server{origin} must not contain a user or a password; use "
            "api_key instead"
        )
    return url.copy_with(query=None, fragment=None)


def _parsed(text: str) -> httpx.URL | None:
    try:
        return httpx.URL(text)
    except httpx.InvalidURL:
        return None


def _make_server(url: httpx.URL, headers: list[tuple[bytes, bytes]]) -> ServerAddress:
    is_tls = url.scheme == "https"
    port = url.port or (443 if is_tls else 80)
    return ServerAddress(str(url).rstrip("/"), url.raw_host.decode(), port, is_tls, headers)


def _common_headers(
    url: httpx.URL, api_key: str | None, headers: Mapping[str, str]
) -> list[tuple[bytes, bytes]]:
    key = find_api_key(api_key)
    authorization = {"Authorization": f"Bearer {key}"} if key else {}
    raw = _headers(url, {**authorization, **headers})
    if any(byte in part for pair in raw for part in pair for byte in b"\r\n\0"):
        raise InvalidSetting("a header must not contain line breaks")
    return raw


def _headers(url: httpx.URL, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    agent = f"corvo-client/{__version__} python/{platform.python_version()}"
    common = {"Host": url.netloc.decode(), "Accept": "application/json", "User-Agent": agent}
    return httpx.Headers({**common, **headers}).raw


def _where(call: Call[Any], server: ServerAddress) -> str:
    return f"{call.verb} {server.url}{call.path}"


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _environment_proxy(url: httpx.URL) -> str | None:
    proxies = getproxies()
    if not proxies or proxy_bypass(url.host):
        return None
    scheme = url.scheme if proxies.get(url.scheme) else "all"
    proxy = proxies.get(scheme)
    return _proxy(proxy, f"{scheme.upper()}_PROXY") if proxy else None


def _proxy(text: str, source: str) -> str:
    """Return the URL of a proxy. Raises `InvalidSetting`, which does not show its password."""
    url = _parsed(text if "://" in text else f"http://{text}")
    if url is None or url.scheme not in {"http", "https", *_SOCKS} or not url.host:
        raise InvalidSetting(
            f"the proxy of {source} is not valid; write it like http://proxy.example.com:3128, or "
            "name the server in NO_PROXY to connect without a proxy"
        )
    if url.scheme in _SOCKS and find_spec("socksio") is None:
        raise InvalidSetting(
            f"the proxy of {source} is a SOCKS proxy, which needs the package socksio: "
            "pip install 'httpx[socks]'. Or name the server in NO_PROXY to connect without a proxy"
        )
    return str(url)
