"""Connections of a worker and its tasks, opened at their first use."""

import asyncio
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from corvo_client._async.client import AsyncClient
from corvo_client._async.jobs import AsyncJobs
from corvo_client._async.session import AsyncSession
from corvo_client._async.transport import AsyncTransport
from corvo_client._calls.queues import set_queue_defaults
from corvo_client._calls.schedules import put_schedule
from corvo_client._documents import Codec
from corvo_client._options import DefaultOptions, EnqueueOptions
from corvo_client._origin import Origin
from corvo_client._retry import RetryPolicy, default_policy
from corvo_client._sync.jobs import Jobs
from corvo_client._sync.session import Session
from corvo_client._sync.transport import Transport
from corvo_client.worker._api import Override
from corvo_client.worker._http import FetchTerms, HttpHeartbeatSender, HttpServerApi
from corvo_schema.jobs import EnqueueReply
from corvo_schema.schedules import Schedule, ScheduleRequest


@dataclass(frozen=True, slots=True)
class _LoopConnection:
    """Connection of one event loop."""

    transport: AsyncTransport
    session: AsyncSession


class Server:
    """The server of a worker, given by its URL or by a client. Connections open at first use.

    Tasks can be enqueued from any event loop, and from any thread without one. A client that is
    passed in is used in its own event loop only, and is not closed.
    """

    def __init__(
        self,
        server: AsyncClient | str | None,
        api_key: str | None,
        retry: RetryPolicy | None = None,
        codec: Codec | Literal[False] | None = None,
    ) -> None:
        if isinstance(server, AsyncClient):
            if api_key is not None:
                raise ValueError("a client has its own API key; pass either a client or api_key")
            if retry is not None:
                raise ValueError("a client has its own retry policy; pass it to the client")
            if codec is not None:
                raise ValueError("a client has its own codec; pass it to the client")
            retry = server._session._policy  # noqa: SLF001 - of this package
        self._retry = retry
        self._server = server
        self._api_key = api_key
        self._codec = codec
        self.override: Override | None = None
        self._connections: dict[asyncio.AbstractEventLoop, _LoopConnection] = {}

    @property
    def given_url(self) -> str | None:
        """URL that the code gives; None if it gives none."""
        return self._server.base_url if isinstance(self._server, AsyncClient) else self._server

    def apply_override(self, override: Override) -> None:
        """Use another server and API key. Call it before the first use."""
        if self.override == override:
            return
        self.override = override
        self._server = override.server or self.given_url
        self._api_key = override.api_key
        for made in ("_origin", "_sync_session"):
            self.__dict__.pop(made, None)

    @property
    def url(self) -> str:
        """URL of the server, or the URLs of its cluster."""
        return self._origin.url

    def api(self, terms: FetchTerms) -> HttpServerApi:
        """Return the API of a worker in the running event loop."""
        return HttpServerApi(self._connection().transport, terms)

    def heartbeat_sender(self, seconds: float) -> HttpHeartbeatSender:
        """Return the sender of the heartbeat thread. A request may take up to `seconds`."""
        return HttpHeartbeatSender(self._origin, seconds)

    def enqueue(self, queue: str, payload: Any, options: EnqueueOptions) -> EnqueueReply:
        """Enqueue a job. Block until the server has answered."""
        return Jobs(self._sync_session).enqueue(queue, payload, **options)

    async def aenqueue(self, queue: str, payload: Any, options: EnqueueOptions) -> EnqueueReply:
        """Enqueue a job from the running event loop."""
        return await AsyncJobs(self._connection().session).enqueue(queue, payload, **options)

    def put_schedule(self, request: ScheduleRequest) -> Schedule:
        """Store a schedule. Block until the server has answered."""
        return self._sync_session.send(put_schedule(request))

    async def aput_schedule(self, request: ScheduleRequest) -> Schedule:
        """Store a schedule from the running event loop."""
        return await self._connection().session.send(put_schedule(request))

    async def set_queue_defaults(
        self, queue: str, options: DefaultOptions, schema: Mapping[str, Any] | None
    ) -> None:
        """Replace the defaults of a queue, from the running event loop."""
        await self._connection().session.send(set_queue_defaults(queue, options, schema))

    async def close(self) -> None:
        """Close the connection of the running event loop."""
        connection = self._connections.pop(asyncio.get_running_loop(), None)
        if connection is not None and not isinstance(self._server, AsyncClient):
            await connection.session.close()

    @cached_property
    def _origin(self) -> Origin:
        # Created at first use: the program may set CORVO_SERVER after it creates the worker.
        if isinstance(self._server, AsyncClient):
            return self._server._session._transport._origin  # noqa: SLF001 - of this package
        source = self.override.source if self.override else "the code"
        return Origin(self._server, api_key=self._api_key, source=source, codec=self._codec)

    @cached_property
    def _sync_session(self) -> Session:
        session = Session(Transport(self._origin), self._policy)
        # Tasks may be enqueued at any time, so the session closes with this object.
        weakref.finalize(self, session.close)
        return session

    @property
    def _policy(self) -> RetryPolicy:
        return default_policy() if self._retry is None else self._retry

    def _connection(self) -> _LoopConnection:
        loop = asyncio.get_running_loop()
        connection = self._connections.get(loop)
        if connection is None:
            # Remove the entries of loops that were closed without a call of `close`.
            for other in [other for other in self._connections if other.is_closed()]:
                del self._connections[other]
            connection = self._connections[loop] = self._connect()
        return connection

    def _connect(self) -> _LoopConnection:
        if isinstance(self._server, AsyncClient):
            session = self._server._session  # noqa: SLF001 - of this package
            return _LoopConnection(session._transport, session)  # noqa: SLF001
        transport = AsyncTransport(self._origin)
        return _LoopConnection(transport, AsyncSession(transport, self._policy))
