"""Outbox for SQLAlchemy 2. Needs `pip install "corvo-client[sqlalchemy]"`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Unpack, overload

try:
    import sqlalchemy  # noqa: F401
except ModuleNotFoundError as error:
    error.add_note('Run: pip install "corvo-client[sqlalchemy]"')
    raise

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

from corvo_client import AsyncClient, Client, Codec, EnqueueOptions, EnqueueRequest
from corvo_client._calls.jobs import enqueue_request
from corvo_client._options import NO_PAYLOAD
from corvo_client._outbox import MAX_ERROR_CHARS, Row, Sent, with_job_id
from corvo_client.outbox._relays import AsyncRelay, Relay

AnySession = Session | Connection
AnyAsyncSession = AsyncSession | AsyncConnection
Statement = Insert | Update | Delete


class Outbox:
    """A table of the application's database with jobs that are to be sent to the server.

    Pass the application's `metadata`, so that its migrations create the table. `enqueue` writes a
    row in the transaction of a session or a connection. After the commit, a relay sends the row.
    `codec` is that of `Client`. It encodes the payload of a row before the row is written.
    """

    def __init__(
        self,
        metadata: MetaData | None = None,
        *,
        table_name: str = "corvo_outbox",
        codec: Codec | Literal[False] | None = None,
    ) -> None:
        self._codec = codec
        self.metadata = MetaData() if metadata is None else metadata
        self.table = Table(
            table_name,
            self.metadata,
            # SQLite assigns primary keys only in a column of the type INTEGER.
            Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
            Column("job_id", String(40), nullable=False, unique=True),
            # In MySQL, TEXT is limited to 64 KiB.
            Column("body", Text().with_variant(LONGTEXT, "mysql", "mariadb"), nullable=False),
            Column("error", String(MAX_ERROR_CHARS), comment="why the server rejected the job"),
            Column("created_at", DateTime, nullable=False, server_default=func.now()),
        )

    def enqueue(
        self,
        session: AnySession,
        queue: str,
        payload: Any = NO_PAYLOAD,
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Write a job in the transaction of `session` and return its job id.

        `payload` and `options` are those of `Client.enqueue`. A `delay` starts now, not when the
        row is sent. Raises `ValidationFailed`.
        """
        return self.add(session, enqueue_request(queue, payload, options))

    def add(self, session: AnySession, request: EnqueueRequest) -> str:
        """Write a request as a job, e.g. of a task: `add(session, send.request(7))`."""
        job_id, statement = self._insert(request)
        session.execute(statement)
        return job_id

    async def aenqueue(
        self,
        session: AnyAsyncSession,
        queue: str,
        payload: Any = NO_PAYLOAD,
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Do what `enqueue` does, for an `AsyncSession` or an `AsyncConnection`."""
        return await self.aadd(session, enqueue_request(queue, payload, options))

    async def aadd(self, session: AnyAsyncSession, request: EnqueueRequest) -> str:
        """Do what `add` does, for an `AsyncSession` or an `AsyncConnection`."""
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
        """Return a relay for this table: an `AsyncRelay` for an `AsyncEngine`, else a `Relay`.

        A request has up to `batch_size` rows. The relay polls every `poll_interval` seconds.
        Raises TypeError if `client` is not of the same kind as `engine`.
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
        raise TypeError("pass an Engine and a Client, or an AsyncEngine and an AsyncClient")

    def _insert(self, request: EnqueueRequest) -> tuple[str, Insert]:
        job_id, body = with_job_id(request, self._codec)
        return job_id, insert(self.table).values(job_id=job_id, body=body)


class _Rows:
    """`Store` of an `Engine`."""

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
                    for statement in _settle_statements(self._table, sent):
                        connection.execute(statement)
            return len(rows)
        with self._engine.begin() as connection:
            rows = [Row(*row) for row in connection.execute(oldest)]
            if rows:
                for statement in _settle_statements(self._table, send(rows)):
                    connection.execute(statement)
        return len(rows)


class _AsyncRows:
    """`AsyncStore` of an `AsyncEngine`."""

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
                    for statement in _settle_statements(self._table, sent):
                        await connection.execute(statement)
            return len(rows)
        async with self._engine.begin() as connection:
            rows = [Row(*row) for row in await connection.execute(oldest)]
            if rows:
                for statement in _settle_statements(self._table, await send(rows)):
                    await connection.execute(statement)
        return len(rows)


def _can_lock(engine: Engine | AsyncEngine) -> bool:
    """Return whether the database can lock rows, so that two relays do not send the same ones.

    SQLite locks the whole database, and a lock during a request would block the application.
    """
    return engine.dialect.name != "sqlite"


def _oldest(table: Table, limit: int) -> Select[Any]:
    columns = table.c.job_id, table.c.body
    oldest = select(*columns).where(table.c.error.is_(None)).order_by(table.c.seq).limit(limit)
    return oldest.with_for_update(skip_locked=True)  # SQLite ignores this


def _settle_statements(table: Table, sent: Sent) -> list[Statement]:
    statements: list[Statement] = [
        update(table).where(table.c.job_id == job_id).values(error=error)
        for job_id, error in sent.refused.items()
    ]
    if sent.accepted:
        statements.append(delete(table).where(table.c.job_id.in_(sent.accepted)))
    return statements
