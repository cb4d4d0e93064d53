"""The server is killed at every point of every commit, and its clients repeat their calls.

After each kill the invariants of the database hold, an acknowledged effect is there, no effect is
there in part, and the repeat of the call completes it without a second effect.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from corvo_server.settings import Settings
from server_support.engines import NewStorage
from support.faults.crash_points import Plan, Point
from support.faults.crash_run import CrashRun
from support.faults.crashes import CrashingServer
from support.faults.figures import note_figures
from support.operations import OPERATIONS, Operation, Repeat
from support.transitions import PRUNING, TRANSITIONS, Transition


def _run_in(
    folder: Path, name: str, options: Mapping[str, str | int], **more: str
) -> Iterator[CrashRun]:
    """Yield the run on a new server. Check all its worlds at the end, and the end itself."""
    server = CrashingServer(folder, {**options, **more}).start()
    settings = Settings(data_dir=server.data_dir, database_url=options.get("database"))
    run = CrashRun(server, settings)
    try:
        yield run
        asyncio.run(run.check_worlds())
        assert server.stop() == 0
        assert not server.errors()
    finally:
        server.close()
    note_figures(name, **run.figures, lost=0)


@pytest.fixture(scope="session")
def run(
    tmp_path_factory: pytest.TempPathFactory, new_storage: NewStorage, engine_name: str
) -> Iterator[CrashRun]:
    name = f"crash points of operations, {engine_name}"
    yield from _run_in(tmp_path_factory.mktemp("crashes"), name, new_storage())


@pytest.fixture(scope="session")
def background_run(
    tmp_path_factory: pytest.TempPathFactory, new_storage: NewStorage, engine_name: str
) -> Iterator[CrashRun]:
    name = f"crash points of services, {engine_name}"
    folder = tmp_path_factory.mktemp("background")
    yield from _run_in(folder, name, new_storage(), **PRUNING)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_killed_operation_has_one_effect(run: CrashRun, operation: Operation) -> None:
    await run.crash_at(operation, run.plans(operation))


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda transition: transition.name)
async def test_killed_service_completes_its_work(
    background_run: CrashRun, transition: Transition
) -> None:
    await background_run.crash_in_background(transition)


async def test_reply_before_its_commit_is_noticed(run: CrashRun) -> None:
    plan = Plan(Point.REPLYING, loses_commit=True)
    with pytest.raises(AssertionError):
        await run.crash_at(_named("enqueue"), [plan])


async def test_second_effect_is_noticed(run: CrashRun) -> None:
    operation = _named("enqueue without an id")._replace(repeat=Repeat.NOTHING)
    with pytest.raises(AssertionError):
        await run.crash_at(operation, [Plan(Point.COMMITTED)])


def _named(name: str) -> Operation:
    (operation,) = [operation for operation in OPERATIONS if operation.name == name]
    return operation
