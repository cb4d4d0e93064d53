"""Images of what a power cut may leave: each opens, is sound, and holds all acknowledged calls.

CORVO_POWER_IMAGES and CORVO_POWER_SEED set the number of images and the random seed.
"""

import asyncio
import os
import random
import shutil
from pathlib import Path

import httpx
import pytest

from corvo_schema import new_job_id
from support.api_client import ApiClient
from support.faults.effects import Effects
from support.faults.figures import note_figures
from support.faults.images import Disk, write_image
from support.faults.libraries import built
from support.faults.opened import open_and_read
from support.faults.owners import JobState, Owner
from support.faults.recorded import RecordedServer, recorded_server
from support.faults.recording import Kind, Recording

pytestmark = pytest.mark.sqlite

IMAGES = int(os.environ.get("CORVO_POWER_IMAGES", "200"))
SEED = int(os.environ.get("CORVO_POWER_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
_CLIENTS = 12
_CALLS = 60
"""Calls of each client between two restarts."""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that records a server."""
    return built("record", tmp_path_factory.mktemp("library"))


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


class Images:
    """Makes images of a recorded data directory and holds each against the effects of the calls."""

    def __init__(self, server: RecordedServer, effects: Effects, folder: Path) -> None:
        self.recording = server.recording()
        self.disk = Disk(self.recording, server.data_dir)
        self.effects = effects
        self._jobs = [thing for thing in effects.things if thing.startswith("job_")]
        self._folder = folder
        self.made = self.acknowledged = 0

    async def problems_after(self, cut: int, chance: random.Random) -> list[str]:
        """Cut the power at a position, open the image, and return what is wrong with it."""
        self.disk.advance(cut)
        folder = self._folder / f"image-{self.made}"
        write_image(self.disk.image(chance), folder)
        self.made += 1
        self.acknowledged += self.effects.acknowledged(self.recording, cut)
        found, problems = await open_and_read(folder, self._jobs)
        shutil.rmtree(folder)
        return [*problems, *self.effects.differences(found, self.recording, cut)]


async def test_every_image_holds_all_that_was_acknowledged(
    tmp_path: Path, library: Path, chance: random.Random
) -> None:
    effects = Effects()
    with recorded_server(tmp_path, library, checkpoint=300) as server:
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
    images = Images(server, effects, tmp_path)
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


async def test_repeat_after_a_kill_before_the_fsync_is_durable(
    tmp_path: Path, library: Path, chance: random.Random
) -> None:
    effects = Effects()
    job = {"queue": "q", "job_id": new_job_id()}
    with recorded_server(tmp_path, library) as server:
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
    images = Images(server, effects, tmp_path)
    cut = images.recording.replies[call] + 1
    for _ in range(10):
        assert not await images.problems_after(cut, chance)
