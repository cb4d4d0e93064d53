"""The client: one method per endpoint."""

import ssl
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Literal, Self, TypeVar

from corvo_client._async.admin import AsyncAdmin
from corvo_client._async.attempts import AsyncAttempts
from corvo_client._async.audit import AsyncAudit
from corvo_client._async.bulk import AsyncBulk
from corvo_client._async.events import AsyncEvents
from corvo_client._async.jobs import AsyncJobs
from corvo_client._async.keys import AsyncKeys
from corvo_client._async.queues import AsyncQueues
from corvo_client._async.schedules import AsyncSchedules
from corvo_client._async.search import AsyncSearch
from corvo_client._async.session import AsyncSession
from corvo_client._async.through_httpx import AsyncBackend
from corvo_client._async.transport import AsyncTransport
from corvo_client._async.webhooks import AsyncWebhooks
from corvo_client._call import Call
from corvo_client._documents import Codec
from corvo_client._origin import Origin
from corvo_client._retry import RetryPolicy, default_policy
from corvo_client._stream import Stream

R = TypeVar("R")


class AsyncClient(
    AsyncJobs,
    AsyncAttempts,
    AsyncQueues,
    AsyncSearch,
    AsyncBulk,
    AsyncSchedules,
    AsyncEvents,
    AsyncKeys,
    AsyncAudit,
    AsyncWebhooks,
    AsyncAdmin,
):
    """A client of a Corvo server. Close it, or use it as a context manager.

    `base_url` defaults to CORVO_SERVER, then to `http://localhost:8080`. It may list several
    servers of one cluster, separated by commas: if one fails, the client uses the next one.
    `api_key` defaults to CORVO_API_KEY, then to what the file CORVO_API_KEY_FILE holds; `proxy`
    defaults to the usual environment variables. Timeouts are in seconds; a fetch adds its own
    `timeout` to `read_timeout`. `verify` is False, or an SSL context, e.g. with a client
    certificate. `ca_file` is a file of the authorities to trust, in PEM; it defaults to
    CORVO_CA_FILE. CORVO_CLIENT_CERT and CORVO_CLIENT_KEY name the files of the certificate that the
    client shows. `transport` is a transport of httpx that replaces the network. Temporary failures
    are retried as `retry` defines, by default for 5 s, or for CORVO_RETRY_SECONDS; all other
    failures are raised as `CorvoError`. An `enqueue` waits no longer than that for an answer.
    `codec` encodes payloads, results, checkpoints and errors, e.g. an `EncryptionCodec`; it
    defaults to the keys in CORVO_CODEC_KEYS or CORVO_CODEC_KEYS_FILE, and False means none.
    The client connects at the first call.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        verify: ssl.SSLContext | bool = True,
        ca_file: str | None = None,
        proxy: str | None = None,
        transport: AsyncBackend | None = None,
        codec: Codec | Literal[False] | None = None,
    ) -> None:
        origin = Origin(
            base_url,
            api_key=api_key,
            headers=headers,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            verify=verify,
            ca_file=ca_file,
            proxy=proxy,
            codec=codec,
        )
        policy = default_policy() if retry is None else retry
        self._transport = AsyncTransport(origin, transport)
        super().__init__(AsyncSession(self._transport, policy))

    @property
    def base_url(self) -> str:
        """URL of the server that gets the calls."""
        return self._transport.url

    async def send(self, call: Call[R]) -> R:
        """Send a call of `corvo_client.calls` and return its reply. Raises `CorvoError`."""
        return await self._send(call)

    def follow(self, stream: Stream[R]) -> AsyncGenerator[R]:
        """Yield the messages of a stream of `corvo_client.calls`. Raises `CorvoError`."""
        return self._follow(stream)

    async def close(self) -> None:
        """Wait for running calls, end the streams and close all connections."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"
