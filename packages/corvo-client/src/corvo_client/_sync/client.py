# Generated from src/corvo_client/_async/client.py by scripts/gen_sync.py. Do not edit.
"""The client: one method per endpoint."""

import ssl
from collections.abc import Generator, Mapping
from types import TracebackType
from typing import Literal, Self, TypeVar

from corvo_client._call import Call
from corvo_client._documents import Codec
from corvo_client._origin import Origin
from corvo_client._retry import RetryPolicy, default_policy
from corvo_client._stream import Stream
from corvo_client._sync.admin import Admin
from corvo_client._sync.attempts import Attempts
from corvo_client._sync.audit import Audit
from corvo_client._sync.bulk import Bulk
from corvo_client._sync.events import Events
from corvo_client._sync.jobs import Jobs
from corvo_client._sync.keys import Keys
from corvo_client._sync.queues import Queues
from corvo_client._sync.schedules import Schedules
from corvo_client._sync.search import Search
from corvo_client._sync.session import Session
from corvo_client._sync.through_httpx import Backend
from corvo_client._sync.transport import Transport
from corvo_client._sync.webhooks import Webhooks

R = TypeVar("R")


class Client(
    Jobs,
    Attempts,
    Queues,
    Search,
    Bulk,
    Schedules,
    Events,
    Keys,
    Audit,
    Webhooks,
    Admin,
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
        transport: Backend | None = None,
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
        self._transport = Transport(origin, transport)
        super().__init__(Session(self._transport, policy))

    @property
    def base_url(self) -> str:
        """URL of the server that gets the calls."""
        return self._transport.url

    def send(self, call: Call[R]) -> R:
        """Send a call of `corvo_client.calls` and return its reply. Raises `CorvoError`."""
        return self._send(call)

    def follow(self, stream: Stream[R]) -> Generator[R]:
        """Yield the messages of a stream of `corvo_client.calls`. Raises `CorvoError`."""
        return self._follow(stream)

    def close(self) -> None:
        """Wait for running calls, end the streams and close all connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"
