"""Schedules that come due all the time: the calendar's minutes are too long to wait for."""

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
_PAUSE = 0.2


class Calendar:
    """Moves the next slot of schedules close, whenever the last one has been dealt with.

    Each slot that it makes is to have one job.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self.slots: set[tuple[str, int]] = set()

    async def open(self, api: ApiClient) -> None:
        """Make the schedules."""
        for number in range(_SCHEDULES):
            name = f"calendar-{number}"
            body = {"name": name, "queue": QUEUE, "cron": "* * * * *", "payload": name}
            await api.post("/schedules", body)

    async def run(self) -> None:
        """Go on until cancelled, also while the database is away."""
        while True:
            # A slot whose update was not confirmed has no guarantee, so it is not recorded.
            with contextlib.suppress(psycopg.OperationalError):
                await asyncio.to_thread(self._bring_slots)
            await asyncio.sleep(_PAUSE)

    def _bring_slots(self) -> None:
        now = time.time_ns() // 1_000_000
        slot = now // 1000 * 1000 + 1000
        rows = execute(
            self._url,
            "UPDATE corvo.schedules SET next_run = %s WHERE next_run > %s AND queue = %s "
            "RETURNING name, next_run",
            slot,
            now + _FAR,
            QUEUE,
        )
        self.slots |= {(name, at) for name, at in rows}

    async def see_some(self) -> None:
        """Return when slots have been made: without any, a fault run would test no schedule."""
        await wait_until(lambda: bool(self.slots), "slots are brought close")

    async def see_all_run(self) -> None:
        """Return when the servers have dealt with every slot that was made."""
        await wait_until(
            lambda: asyncio.to_thread(self._are_all_run), "the last slots have been dealt with"
        )

    def _are_all_run(self) -> bool:
        last = max(at for _, at in self.slots)
        waiting = "SELECT count(*) FROM corvo.schedules WHERE queue = %s AND next_run <= %s"
        ((count,),) = execute(self._url, waiting, QUEUE, last)
        return not count

    def check(self) -> tuple[list[str], list[str]]:
        """The slots that had no job, and those that had more than one."""
        rows = execute(
            self._url,
            "SELECT data::jsonb ->> 'reason', count(*) FROM corvo.events "
            "WHERE queue = %s AND type = 'enqueued' GROUP BY 1",
            QUEUE,
        )
        jobs = dict(rows)
        wanted = {f"schedule {name}: slot {format_ms(at)}" for name, at in self.slots}
        missing = [f"{reason} had no job" for reason in wanted if reason not in jobs]
        twice = [f"{reason} had {times} jobs" for reason, times in jobs.items() if times > 1]
        return missing, twice
