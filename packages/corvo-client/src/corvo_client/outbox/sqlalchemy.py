"""The outbox as a table of SQLAlchemy 2. Needs `pip install "corvo-client[sqlalchemy]"`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Unpack, overload

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Delete,
    Engine,
    Insert,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    Update,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from corvo_client import AsyncClient, Client, EnqueueOptions, EnqueueRequest
from corvo_client._calls.jobs import enqueue_request
from corvo_client._options import NO_PAYLOAD
from corvo_client._outbox import MOST_ERROR, Row, Sent, identified
from corvo_client.outbox._relays import AsyncRelay, Relay

Here = Session | Connection
AsyncHere = AsyncSession | AsyncConnection
Statement = Insert | Update | Delete


class Outbox:
    """A table of jobs to be sent, in the application's own database.

    Give it the application's `metadata`, so that its migrations find the table, and create it like
    any other. What is enqueued with a session or a connection becomes a job if and when that
    transaction commits; run a relay for that.
    """

    def __init__(
        self, metadata: MetaData | None = None, *, table_name: str = "corvo_outbox"
    ) -> None:
        self.metadata = MetaData() if metadata is None else metadata
        self.table = Table(
            table_name,
            self.metadata,
            # A SQLite table counts its own rows only in a column of just this type.
            Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
            Column("job_id", String(40), nullable=False, unique=True),
            # A text of MySQL's has no more than 64 KiB.
            Column("body", Text().with_variant(LONGTEXT, "mysql", "mariadb"), nullable=False),
            Column("error", String(MOST_ERROR), comment="why the server will never take it"),
            Column("created_at", DateTime, nullable=False, server_default=func.now()),
        )

    def enqueue(
        self,
        session: Here,
        queue: str,
        payload: Any = NO_PAYLOAD,
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Write a job into the transaction of `session`; return the id that it will have.

        `payload` and `options` are those of `Client.enqueue`; a `delay` counts from now on. Raises
        `ValidationFailed`.
        """
        return self.add(session, enqueue_request(queue, payload, options))

    def add(self, session: Here, request: EnqueueRequest) -> str:
        """Do the same with a request, e.g. that of a task: `add(session, send.request(7))`."""
        job_id, statement = self._insert(request)
        session.execute(statement)
        return job_id

    async def enqueue_async(
        self,
        session: AsyncHere,
        queue: str,
        payload: Any = NO_PAYLOAD,
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Do what `enqueue` does, with an `AsyncSession` or an `AsyncConnection`."""
        return await self.add_async(session, enqueue_request(queue, payload, options))

    async def add_async(self, session: AsyncHere, request: EnqueueRequest) -> str:
        """Do what `add` does, with an `AsyncSession` or an `AsyncConnection`."""
        job_id, statement = self._insert(request)
        await session.execute(statement)
        return job_id

    @overload
    def relay(
        self, engine: Engine, client: Client, *, batch_size: int = ..., poll_interval: float = ...
    ) -> Relay: ...
    @overload
    def relay(
        self,
        engine: AsyncEngine,
        client: AsyncClient,
        *,
        batch_size: int = ...,
        poll_interval: float = ...,
    ) -> AsyncRelay: ...
    def relay(
        self,
        engine: Engine | AsyncEngine,
        client: Client | AsyncClient,
        *,
        batch_size: int = 500,
        poll_interval: float = 0.5,
    ) -> Relay | AsyncRelay:
        """Return what sends the committed rows: with an `AsyncEngine` an `AsyncRelay`.

        Up to `batch_size` rows in a request; it looks for new ones every `poll_interval` seconds.
        """
        if isinstance(engine, AsyncEngine) and isinstance(client, AsyncClient):
            return AsyncRelay(
                _AsyncRows(self.table, engine),
                client,
                batch_size=batch_size,
                poll_interval=poll_interval,
            )
        if isinstance(engine, Engine) and isinstance(client, Client):
            return Relay(
                _Rows(self.table, engine),
                client,
                batch_size=batch_size,
                poll_interval=poll_interval,
            )
        raise TypeError("an Engine needs a Client, and an AsyncEngine an AsyncClient")

    def _insert(self, request: EnqueueRequest) -> tuple[str, Insert]:
        job_id, body = identified(request)
        return job_id, insert(self.table).values(job_id=job_id, body=body)


class _Rows:
    """The rows over an `Engine`."""

    def __init__(self, table: Table, engine: Engine) -> None:
        self._table = table
        self._engine = engine

    def deliver(self, limit: int, send: Callable[[Sequence[Row]], Sent]) -> int:
        oldest = _oldest(self._table, limit)
        if not _can_lock(self._engine):
            with self._engine.connect() as connection:
                rows = [Row(*row) for row in connection.execute(oldest)]
            if rows:
                sent = send(rows)
                with self._engine.begin() as connection:
                    for statement in _settled(self._table, sent):
                        connection.execute(statement)
            return len(rows)
        with self._engine.begin() as connection:
            rows = [Row(*row) for row in connection.execute(oldest)]
            if rows:
                for statement in _settled(self._table, send(rows)):
                    connection.execute(statement)
        return len(rows)


class _AsyncRows:
    """The rows over an `AsyncEngine`."""

    def __init__(self, table: Table, engine: AsyncEngine) -> None:
        self._table = table
        self._engine = engine

    async def deliver(self, limit: int, send: Callable[[Sequence[Row]], Awaitable[Sent]]) -> int:
        oldest = _oldest(self._table, limit)
        if not _can_lock(self._engine):
            async with self._engine.connect() as connection:
                rows = [Row(*row) for row in await connection.execute(oldest)]
            if rows:
                sent = await send(rows)
                async with self._engine.begin() as connection:
                    for statement in _settled(self._table, sent):
                        await connection.execute(statement)
            return len(rows)
        async with self._engine.begin() as connection:
            rows = [Row(*row) for row in await connection.execute(oldest)]
            if rows:
                for statement in _settled(self._table, await send(rows)):
                    await connection.execute(statement)
        return len(rows)


def _can_lock(engine: Engine | AsyncEngine) -> bool:
    """Tell whether rows can be locked, so that two relays do not send the same ones.

    SQLite has one lock for all, and holding it during a request would hold up the application.
    """
    return engine.dialect.name != "sqlite"


def _oldest(table: Table, limit: int) -> Select[Any]:
    columns = table.c.seq, table.c.job_id, table.c.body
    wanted = select(*columns).where(table.c.error.is_(None)).order_by(table.c.seq).limit(limit)
    return wanted.with_for_update(skip_locked=True)  # nothing where rows cannot be locked


def _settled(table: Table, sent: Sent) -> list[Statement]:
    statements: list[Statement] = [
        update(table).where(table.c.seq == seq).values(error=error)
        for seq, error in sent.refused.items()
    ]
    if sent.taken:
        statements.append(delete(table).where(table.c.seq.in_(sent.taken)))
    return statements
