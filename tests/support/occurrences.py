"""Schedules with an occurrence every second. A cron expression has at most one per minute."""

import asyncio
import contextlib
import time

import psycopg

from corvo_schema import format_ms
from server_support.postgres import execute
from server_support.waiting import wait_until
from support.api_client import ApiClient

QUEUE = "calendar"
_SCHEDULES = 8
_FAR = 5_000
"""An occurrence more than this many ms ahead is moved."""
_PAUSE = 0.2


class ScheduleLoad:
    """Moves the next occurrence of each schedule to the next second, again and again.

    Each recorded occurrence must have exactly one job.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self.occurrences: set[tuple[str, int]] = set()

    async def open(self, api: ApiClient) -> None:
        """Create the schedules."""
        for number in range(_SCHEDULES):
            name = f"calendar-{number}"
            body = {"name": name, "queue": QUEUE, "cron": "* * * * *", "payload": name}
            await api.post("/schedules", body)

    async def run(self) -> None:
        """Move occurrences until cancelled, also while the database is unavailable."""
        while True:
            # An occurrence is not recorded if its update was not confirmed: it has no guarantee.
            with contextlib.suppress(psycopg.OperationalError):
                await asyncio.to_thread(self._advance_schedules)
            await asyncio.sleep(_PAUSE)

    def _advance_schedules(self) -> None:
        now = time.time_ns() // 1_000_000
        occurrence = now // 1000 * 1000 + 1000
        rows = execute(
            self._url,
            "UPDATE corvo.schedules SET next_run = %s WHERE next_run > %s AND queue = %s "
            "RETURNING name, next_run",
            occurrence,
            now + _FAR,
            QUEUE,
        )
        self.occurrences |= {(name, at) for name, at in rows}

    async def wait_until_recorded(self) -> None:
        """Wait for the first occurrence. Without one, a fault run would test no schedule."""
        await wait_until(lambda: bool(self.occurrences), "an occurrence is recorded")

    async def wait_until_processed(self) -> None:
        """Wait until the servers have processed every recorded occurrence."""
        await wait_until(
            lambda: asyncio.to_thread(self._are_all_processed), "all occurrences are processed"
        )

    def _are_all_processed(self) -> bool:
        last = max(at for _, at in self.occurrences)
        waiting = "SELECT count(*) FROM corvo.schedules WHERE queue = %s AND next_run <= %s"
        ((count,),) = execute(self._url, waiting, QUEUE, last)
        return not count

    def check(self) -> tuple[list[str], list[str]]:
        """Return the occurrences without a job, and those with more than one job, as sentences."""
        # Servers of the version before this one write "slot" instead of "occurrence".
        rows = execute(
            self._url,
            "SELECT replace(data::jsonb ->> 'reason', ': slot ', ': occurrence '), count(*) "
            "FROM corvo.events WHERE queue = %s AND type = 'enqueued' GROUP BY 1",
            QUEUE,
        )
        jobs = dict(rows)
        expected = {f"schedule {name}: occurrence {format_ms(at)}" for name, at in self.occurrences}
        missing = [f"{reason} had no job" for reason in expected if reason not in jobs]
        repeated = [f"{reason} had {times} jobs" for reason, times in jobs.items() if times > 1]
        return missing, repeated
