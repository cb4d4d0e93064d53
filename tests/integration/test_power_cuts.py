"""Images of what a power cut may leave: each opens, is sound, and holds all acknowledged calls.

CORVO_POWER_IMAGES and CORVO_POWER_SEED set the number of images and the random seed.
"""

import asyncio
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from corvo_schema import new_job_id
from server_support.process import Process, python
from server_support.waiting import wait_until
from support.api_client import ApiClient, Body
from support.faults.effects import Effects
from support.faults.figures import note_figures
from support.faults.images import Disk, write_image
from support.faults.opened import open_and_read
from support.faults.owners import JobState, Owner
from support.faults.recorded import OPTIONS, RecordedServer
from support.faults.recording import Kind, Recording
from support.operations import OPERATIONS, Operation
from support.server import CorvoServer
from support.world import World

pytestmark = pytest.mark.sqlite

IMAGES = int(os.environ.get("CORVO_POWER_IMAGES", "200"))
SEED = int(os.environ.get("CORVO_POWER_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
SERVERS = 2
"""Number of images on which a real server starts."""
_CLIENTS = 12
_CALLS = 40
"""Calls of each client between two restarts."""


@pytest.fixture
def chance() -> random.Random:
    print(f"\nCORVO_POWER_SEED={SEED}")
    return random.Random(SEED)  # noqa: S311


async def run_load(server: RecordedServer, effects: Effects, chance: random.Random) -> None:
    """Make calls of every kind at once."""
    async with ApiClient(server.url) as api:
        owners = [Owner(api, effects, random.Random(chance.random())) for _ in range(_CLIENTS)]  # noqa: S311
        await asyncio.gather(*(owner.run(_CALLS) for owner in owners))


def cuts(recording: Recording, chance: random.Random, count: int) -> list[int]:
    """Return positions of power cuts: half of them at any call, half just after a reply began."""
    replies = [position + 1 for position in recording.replies.values()]
    anywhere = chance.choices(range(recording.length), k=count // 2)
    return sorted(anywhere + chance.choices(replies, k=count - count // 2))


class Done(NamedTuple):
    """An operation of which the reply has arrived."""

    operation: Operation
    request_id: str
    world: World
    view: Body
    """What the API tells of the world after the operation."""


async def carry_out(api: ApiClient, operation: Operation, number: int) -> Done:
    """Carry out an operation on a world of its own."""
    world = World()
    call = await operation.prepare(api, world)
    is_background = operation.status == 202
    before = await world.view(api) if is_background else {}
    request_id = f"operation-{number}"
    headers = {"x-request-id": request_id}
    response = await api.send(
        call.method, call.path, call.body, {**headers, **(call.headers or {})}
    )
    assert response.status_code == operation.status
    view = await (world.changed(api, before) if is_background else world.view(api))
    return Done(operation, request_id, world, view)


class Images:
    """Makes images of a recorded data directory and holds each against the effects of the calls."""

    def __init__(
        self, recording: Recording, data_dir: Path, effects: Effects, folder: Path
    ) -> None:
        """Make each image in a new directory within `folder`."""
        self.recording = recording
        self.disk = Disk(recording, data_dir)
        self._effects = effects
        self._jobs = [thing for thing in effects.things if thing.startswith("job_")]
        self._folder = folder
        self.made = self.acknowledged = 0

    def new(self, cut: int, chance: random.Random) -> Path:
        """Cut the power at a position, and return a new directory with what is left."""
        self.disk.advance(cut)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        write_image(self.disk.image(chance), folder)
        self.made += 1
        return folder

    async def problems_after(self, cut: int, chance: random.Random) -> list[str]:
        """Cut the power at a position, open the image, and return what is wrong with it."""
        folder = self.new(cut, chance)
        self.acknowledged += self._effects.acknowledged(self.recording, cut)
        try:
            found, problems = await open_and_read(folder, self._jobs)
        except Exception as error:  # noqa: BLE001 - damage shows in many ways
            return [f"it cannot be opened: {error!r}"]
        finally:
            shutil.rmtree(folder)
        return [*problems, *self._effects.differences(found, self.recording, cut)]


async def test_every_image_holds_all_that_was_acknowledged(
    tmp_path: Path, record_library: Path, chance: random.Random
) -> None:
    effects = Effects()
    with RecordedServer(tmp_path, record_library, checkpoint=300) as server:
        await run_load(server, effects, chance)
        server.kill_at_next_sync()
        await run_load(server, effects, chance)
        server.kill()
        server.restart()
        await run_load(server, effects, chance)
        server.stop()
        server.restart()
        await run_load(server, effects, chance)
        server.kill()
    images = Images(server.recording(), server.data_dir, effects, tmp_path)
    for cut in cuts(images.recording, chance, IMAGES):
        problems = await images.problems_after(cut, chance)
        assert not problems, f"a power cut at {cut}, seed {SEED}: {problems[:5]}"

    images.disk.advance(images.recording.length)
    real = {path.name: path.read_bytes() for path in server.data_dir.iterdir()}
    del real["corvo.db-shm"]
    assert images.disk.seen() == real, "the recording is not complete"
    syncs = [call for call in images.recording.operations if call.kind is Kind.SYNC]
    checkpoints = sum(call.path.endswith("corvo.db") for call in syncs)
    assert checkpoints > 5
    note_figures(
        "power cuts",
        operations=len(images.recording.replies),
        checkpoints=checkpoints,
        images=images.made,
        acknowledged_calls_checked=images.acknowledged,
        lost=0,
    )
    print(f"{images.made} images, {images.acknowledged} acknowledged calls checked, lost 0")


async def has_problems(images: Images, chance: random.Random) -> bool:
    """Return whether one of some images shows a loss."""
    for cut in cuts(images.recording, chance, 40):
        if await images.problems_after(cut, chance):
            return True
    return False


async def test_loss_of_a_server_without_an_fsync_is_found(
    tmp_path: Path, record_library: Path, chance: random.Random
) -> None:
    effects = Effects()
    with RecordedServer(tmp_path, record_library, synchronous="NORMAL") as server:
        await run_load(server, effects, chance)
        server.kill()
    images = Images(server.recording(), server.data_dir, effects, tmp_path)
    assert await has_problems(images, chance)


async def test_loss_without_the_fsyncs_of_any_one_file_is_found(
    tmp_path: Path, record_library: Path, chance: random.Random
) -> None:
    effects = Effects()
    with RecordedServer(tmp_path, record_library, checkpoint=300) as server:
        await run_load(server, effects, chance)
        server.kill()
    recording = server.recording()
    for path in (server.database, Path(f"{server.database}-wal"), server.data_dir):
        calls = [
            call
            for call in recording.operations
            if not (call.kind is Kind.SYNC and call.path == str(path))
        ]
        images = Images(Recording(calls, recording.length), server.data_dir, effects, tmp_path)
        assert await has_problems(images, chance), f"no loss without the fsyncs of {path}"


async def test_server_on_an_image_shows_every_acknowledged_operation(
    tmp_path: Path, record_library: Path, chance: random.Random
) -> None:
    with RecordedServer(tmp_path, record_library, checkpoint=300) as server:
        async with ApiClient(server.url) as api:
            turns = asyncio.Semaphore(4)

            async def in_turn(number: int, operation: Operation) -> Done:
                async with turns:
                    return await carry_out(api, operation, number)

            done = await asyncio.gather(*(in_turn(*item) for item in enumerate(OPERATIONS)))
        server.kill()
    images = Images(server.recording(), server.data_dir, Effects(), tmp_path)
    replies = images.recording.replies
    last = max(replies[item.request_id] for item in done)
    chosen = chance.choices([replies[item.request_id] for item in done], k=SERVERS - 1)
    checked = 0
    for cut in sorted([*chosen, last]):
        folder = images.new(cut + 1, chance)
        check = Process(python("-m", "corvo_server", "--data-dir", folder, "check"))
        assert check.wait() == 0, check.output
        opened = CorvoServer(folder, OPTIONS).start()
        try:
            async with ApiClient(opened.url) as api:
                for item in done:
                    if replies[item.request_id] <= cut:
                        await see_view(api, item)
                        checked += 1
        finally:
            opened.close()
    note_figures(
        "servers after power cuts",
        operations=len(done),
        images=images.made,
        acknowledged_calls_checked=checked,
        lost=0,
    )


async def see_view(api: ApiClient, done: Done) -> None:
    """Wait until the world of an operation is as after it. Background work may be going on."""

    async def is_same() -> bool:
        return await done.world.view(api) == done.view

    await wait_until(is_same, f"{done.operation.name}, seed {SEED}: {done.view}")


async def test_repeat_after_a_kill_before_the_fsync_is_durable(
    tmp_path: Path, record_library: Path, chance: random.Random
) -> None:
    effects = Effects()
    job = {"queue": "q", "job_id": new_job_id()}
    with RecordedServer(tmp_path, record_library) as server:
        async with ApiClient(server.url) as api:
            await api.enqueue("q")
            server.kill_at_next_sync()
            with pytest.raises(httpx.TransportError):
                await api.send("POST", "/enqueue", job)
        server.kill()
        server.restart()
        call = effects.new_call()
        effects.note(call, job["job_id"], JobState("q"))
        async with ApiClient(server.url) as api:
            repeat = await api.send("POST", "/enqueue", job, headers={"x-request-id": call})
        assert repeat.status_code == 200  # the page cache has the job, so nothing is written
        server.kill()
    images = Images(server.recording(), server.data_dir, effects, tmp_path)
    cut = images.recording.replies[call] + 1
    for _ in range(10):
        assert not await images.problems_after(cut, chance)
