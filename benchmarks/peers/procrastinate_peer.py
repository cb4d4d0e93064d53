"""Procrastinate on PostgreSQL."""

from collections.abc import Sequence

from procrastinate import App, PsycopgConnector

from peer import PAYLOAD, AsyncPeer, Start

_UNFINISHED = """
SELECT count(*) AS jobs FROM procrastinate_jobs
WHERE queue_name = %(queue)s AND status IN ('todo', 'doing')"""


class Peer(AsyncPeer):
    """Runs 50 jobs at a time, woken by LISTEN.

    Finished jobs are removed, as the documentation of Procrastinate advises for speed.
    """

    def __init__(self, url: str, queue: str) -> None:
        super().__init__(url, queue)
        connector = PsycopgConnector(conninfo=url, min_size=4, max_size=20)
        self._app = App(connector=connector)
        self._start: Start | None = None

        @self._app.task(queue=queue, name="noop")
        async def noop(number: int, to: str, subject: str) -> None:
            del to, subject
            if self._start is not None:
                self._start(number)

        self._task = noop

    async def open(self) -> None:
        await self._app.open_async()

    async def close(self) -> None:
        await self._app.close_async()

    async def prepare(self) -> None:
        if not await self._app.check_connection_async():
            await self._app.schema_manager.apply_schema_async()

    async def enqueue(self, number: int) -> None:
        await self._task.defer_async(number=number, **PAYLOAD)

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        await self._task.batch_defer_async(*({"number": number, **PAYLOAD} for number in numbers))

    async def count_unfinished(self) -> int:
        row = await self._app.connector.execute_query_one_async(_UNFINISHED, queue=self.queue)
        return int(row["jobs"])

    async def work(self, start: Start) -> None:
        self._start = start
        await self._app.run_worker_async(
            queues=[self.queue], concurrency=50, delete_jobs="successful"
        )
