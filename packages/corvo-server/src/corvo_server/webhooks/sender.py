"""Sends webhooks over HTTP to the addresses that they may reach.

A host is looked up once for each connection, and the connection goes to the very address that was
checked. So an answer of DNS that changes between the check and the connection has no effect.
Redirects are not followed, and proxies of the environment are not used.
"""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ssl import SSLContext, SSLError

import httpcore

from corvo_server.__about__ import __version__
from corvo_server.webhooks.addresses import Addresses

TIMEOUT = 15.0
"""Seconds within which a receiver must have answered."""
_MAX_REPLY = 64 * 1024
"""Bytes of a reply that are read, so that its connection can be used again."""
_IDLE = 5.0
"""Seconds for which an unused connection stays open."""
_HEADERS = [("content-type", "application/json"), ("user-agent", f"corvo-server/{__version__}")]


class SendError(Exception):
    """Raised when a webhook was not sent or not answered. The message says why."""


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to allowed addresses only."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore calls it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        found = await _look_up(host, port)
        usable = self._addresses.reachable(found)
        if not usable:
            raise SendError(
                f"{host} is {', '.join(found)}, which is not a public address. To allow it, start "
                f"the server with: --webhook-allow {found[0]}"
            )
        last: Exception | None = None
        for address in usable:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise SendError(f"cannot connect to {host}, port {port}: {last}") from last

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


async def _look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a host, each once. Raise `SendError` if it has none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SendError(f"the host {host} is unknown: {error}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Sender:
    """Sends requests. Connections are used again for a few seconds."""

    def __init__(
        self, addresses: Addresses, *, timeout: float = TIMEOUT, tls: SSLContext | None = None
    ) -> None:
        """`timeout` in seconds is for a whole request. `tls` is for tests."""
        self._timeout = timeout
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or _verifying(),
            max_connections=None,
            keepalive_expiry=_IDLE,
            network_backend=_CheckedNetwork(addresses),
        )

    async def post(self, url: str, body: bytes, headers: Sequence[tuple[str, str]]) -> int:
        """Send `body` as JSON. Return the status of the reply. Raise `SendError`."""
        try:
            async with asyncio.timeout(self._timeout):
                async with self._pool.stream(
                    "POST", url, headers=[*_HEADERS, *headers], content=body
                ) as reply:
                    await _skip(reply)
                    return reply.status
        except TimeoutError:
            raise SendError(f"no complete reply within {self._timeout:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise SendError(_reason(error)) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


async def _skip(reply: httpcore.Response) -> None:
    """Read the body of a reply, unless it is too long."""
    left = _MAX_REPLY
    async for part in reply.aiter_stream():
        left -= len(part)
        if left < 0:
            return


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, SSLError):
        return f"the TLS connection failed: {cause}"
    return f"the connection failed: {str(error) or type(error).__name__}"


def _verifying() -> SSLContext:
    """Return a context that verifies certificates with the bundled authorities and the system's."""
    tls = httpcore.default_ssl_context()
    tls.load_default_certs()
    return tls
