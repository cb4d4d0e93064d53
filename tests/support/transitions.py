"""Every change that the server makes by itself, when its time has come."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import NamedTuple

from corvo_server.settings import Settings
from server_support.postgres import execute
from support.api_client import ApiClient
from support.server import DATABASE
from support.world import World


class Transition(NamedTuple):
    """A change by a service of the leader."""

    name: str
    verb: str
    """Its name in `store/commit/writes.py`."""
    cause: Callable[[ApiClient, World, Settings], Awaitable[None]]
    """Prepare a world in which the change is due, or is soon."""


async def _schedule_job(api: ApiClient, world: World, _: Settings) -> None:
    await world.add(api, delay=0.01)


async def _fail(api: ApiClient, world: World, _: Settings) -> None:
    await api.fail(await world.start(api, retry_base_delay="10ms", retry_max_delay="10ms"))


async def _lose_worker(api: ApiClient, world: World, _: Settings) -> None:
    await world.add(api)
    await api.fetch(world.queue, lease_duration=1)


async def _lose_last_worker(api: ApiClient, world: World, _: Settings) -> None:
    batch = {"callback_queue": world.callbacks}
    await api.post("/enqueue/batch", {"jobs": [world.new_job(max_retries=1)], "batch": batch})
    await api.fetch(world.queue, lease_duration=1)


async def _let_expire(api: ApiClient, world: World, _: Settings) -> None:
    await world.add(api, expire_after="10ms")


async def _ack(api: ApiClient, world: World, _: Settings) -> None:
    await api.ack(await world.start(api))


async def _miss_occurrence(api: ApiClient, world: World, settings: Settings) -> None:
    path = f"/schedules/{world.schedule}"
    await api.post("/schedules", {"name": world.schedule, "queue": world.queue, "cron": "@yearly"})
    await api.post(f"{path}/pause")
    missed = f"UPDATE {{}}schedules SET next_run = created_at WHERE name = '{world.schedule}'"  # noqa: S608
    if settings.postgres_url is not None:
        execute(settings.postgres_url, missed.format("corvo."))
    else:
        with closing(sqlite3.connect(settings.sqlite_dir / DATABASE)) as connection, connection:
            connection.execute(missed.format(""))
    await api.post(f"{path}/resume")


TRANSITIONS: Sequence[Transition] = (
    Transition("promote a scheduled job", "PROMOTE", _schedule_job),
    Transition("promote a retrying job", "PROMOTE", _fail),
    Transition("reclaim", "RECLAIM", _lose_worker),
    Transition("reclaim the last attempt", "RECLAIM", _lose_last_worker),
    Transition("expire", "EXPIRE", _let_expire),
    Transition("run an occurrence", "RUN_SCHEDULES", _miss_occurrence),
    Transition("prune", "PRUNE", _ack),
)
PRUNING = {"retain_completed": "1ms", "prune_interval": "100ms"}
"""Options of a server on which all of `TRANSITIONS` come within seconds."""
