"""Short forms of the calls for schedules."""

from typing import Any

import orjson

from corvo_schema import ScheduleRequest
from corvo_server.store.records import LeasedJob
from corvo_server.store.schedules import ScheduleRecord
from server_support.bench import QUEUE, Bench

MINUTE = 60_000
HOUR = 60 * MINUTE
NAME = "nightly"


def make_schedule(
    name: str = NAME, *, payload: Any = None, text: bytes | None = None, **fields: Any
) -> tuple[ScheduleRequest, bytes | None]:
    """Return a schedule, by default due every minute, and its payload as JSON text or `text`."""
    fields = {"name": name, "queue": QUEUE, "cron": "* * * * *", **fields}
    request = ScheduleRequest.model_validate(fields)
    return request, text if payload is None else orjson.dumps(payload)


class Calendar:
    """The schedules of a bench."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    async def put(self, name: str = NAME, **fields: Any) -> ScheduleRecord:
        """Create or update a schedule. Return the stored record."""
        record, _ = await self.bench.engine.schedules.put(*make_schedule(name, **fields))
        return record

    async def get(self, reference: str = NAME) -> ScheduleRecord:
        """Return a schedule, which must exist."""
        return await self.bench.engine.schedules.get(reference)

    async def pass_time(self, ms: int = 0) -> int:
        """Let `ms` pass, then run the due schedules. Return their number."""
        self.bench.clock.forward(ms)
        done = 0
        while chunk := await self.bench.engine.schedules.run_due():
            done += chunk
        return done

    async def jobs(self, queue: str = QUEUE) -> list[LeasedJob]:
        """Fetch all pending jobs of a queue."""
        return await self.bench.fetch(queue, count=512)

    async def occurrences(self, queue: str = QUEUE) -> list[int | None]:
        """Fetch all pending jobs of a queue. Return their occurrences."""
        return [job.head.scheduled_at for job in await self.jobs(queue)]
