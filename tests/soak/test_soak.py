"""Mixed work, churn of clients and keys, kills and restarts: nothing is lost, and nothing grows.

The work comes in laps. The history of each lap is checked, and the server deletes what a lap left
behind after its retention. Faults of the first server end after a third of the time, so that one
process lives through the second half, in which growth counts.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from server_support.engines import NewStorage
from server_support.waiting import wait_until
from soak.growth import growing, sentence
from soak.keys import check_rights, create_admin_key, new_keys, revoke_keys, see_known, see_revoked
from soak.lap import Lap
from soak.picture import draw
from soak.sampling import Samples
from support.api_client import ApiClient
from support.server import CorvoServer

LAP = 10.0
"""Seconds of load in a lap."""
RETENTION = 60
"""Seconds after which the server deletes finished jobs and events. A lap is over sooner."""
TO_JUDGE = 10.0
"""Minutes that a soak needs at least before growth tells a leak from a start."""
_SHARED_CLOCK_MS = 50
_OPTIONS: dict[str, str | int] = {
    "retain_completed": f"{RETENTION}s",
    "retain_dead": f"{RETENTION}s",
    "retain_events": f"{RETENTION}s",
    "prune_interval": "1s",
}


async def test_a_long_run_loses_nothing_and_does_not_grow(
    tmp_path: Path, new_storage: NewStorage, minutes: float, curves: Path, engine_name: str
) -> None:
    storage = new_storage()
    number = 1 if engine_name == "sqlite" else 2
    servers = [
        CorvoServer(tmp_path / f"data-{index}", {**_OPTIONS, **storage}) for index in range(number)
    ]
    url = None if engine_name == "sqlite" else str(storage["database"])
    admin_key = await asyncio.to_thread(create_admin_key, servers[0].data_dir, url)
    try:
        for server in servers:
            await asyncio.to_thread(server.start)
        soak = Soak(servers, admin_key, url, minutes * 60)
        await soak.run()
        soak.report(curves / f"soak-{engine_name}")
        assert not soak.violations
        if minutes >= TO_JUDGE:
            assert not growing(soak.samples.curves)
        for server in servers:
            assert await asyncio.to_thread(server.stop) == 0
            assert not server.errors()
    finally:
        for server in servers:
            server.close()


class Soak:
    """Laps on some servers, of which the first is measured."""

    def __init__(
        self, servers: Sequence[CorvoServer], admin_key: str, url: str | None, seconds: float
    ) -> None:
        self.seed = random.SystemRandom().randrange(1, 10**9)
        self._random = random.Random(self.seed)  # noqa: S311 - not for security
        self._servers = servers
        self._admin_key = admin_key
        self._seconds = seconds
        self._tolerance_ms = _SHARED_CLOCK_MS if len(servers) > 1 else 0
        self._workers = count(1)
        self.samples = Samples(servers[0], url)
        self.happened: Counter[str] = Counter()
        self.violations: list[str] = []

    async def run(self) -> None:
        """Run laps until the time is over, then wait until nothing of them is left."""
        print(f"\nseed {self.seed}")
        sampling = asyncio.create_task(self.samples.run())
        for number in count(1):
            await self._lap(number)
            assert not sampling.done(), sampling.exception()
            if self.violations or self.samples.seconds >= self._seconds:
                break
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        if not self.violations:
            await self._see_all_deleted()

    def report(self, path: Path) -> None:
        """Print what happened, and write the curves and their picture."""
        print(
            f"{self.happened['laps']} laps in {self.samples.seconds:.0f} s: {dict(self.happened)}"
        )
        for curve in self.samples.curves:
            print(f"  {sentence(curve)}")
        for violation in self.violations[:30]:
            print(f"  {violation}")
        self.samples.write(path.with_suffix(".json"), {"seed": self.seed, **self.happened})
        draw(
            self.samples.curves,
            f"A soak of {self._seconds / 60:g} minutes",
            path.with_suffix(".svg"),
        )
        print(f"  curves: {path.with_suffix('.svg')}")

    async def _lap(self, number: int) -> None:
        started = monotonic()
        urls = [server.url for server in self._servers]
        async with ApiClient(urls[0], key=self._admin_key) as api:
            keys = await new_keys(api, number)
            await see_known(urls, keys)
            lap = Lap(urls, self._admin_key, keys, self._child(), self._workers)
            await asyncio.gather(lap.run(LAP), self._harm())
            await check_rights(urls[-1], keys)
            await lap.check(self._tolerance_ms)
            await revoke_keys(api, number)
            await see_revoked(urls, keys)
        self.violations += lap.violations
        self.happened += lap.happened
        self.happened["laps"] += 1
        took = monotonic() - started
        if took >= RETENTION:
            pytest.fail(f"this machine is too slow: a lap took {took:.0f} s, and its jobs are gone")

    async def _harm(self) -> None:
        """Kill a server, or restart it, at any time of the lap."""
        is_early = self.samples.seconds < self._seconds / 3
        victims = self._servers if is_early else self._servers[1:]
        if not victims:
            return
        server = self._random.choice(victims)
        await asyncio.sleep(self._random.uniform(0.1, 0.8) * LAP)
        if self._random.random() < 0.7:
            await asyncio.to_thread(server.kill)
            self.happened["kills"] += 1
        else:
            assert await asyncio.to_thread(server.stop) == 0
            self.happened["restarts"] += 1
        await asyncio.to_thread(server.restart)

    async def _see_all_deleted(self) -> None:
        left: dict[str, int] = {}

        async def is_so() -> bool:
            left.update(await asyncio.to_thread(self.samples.counts))
            # A job's deletion is an event with a retention of its own. The newest event stays,
            # because the next id is computed from it.
            return sum(left.values()) <= left["events"] <= 1

        try:
            await wait_until(is_so, "all is deleted", within=4 * RETENTION)
        except AssertionError:
            self.violations.append(f"not deleted after the retention: {left}")

    def _child(self) -> random.Random:
        return random.Random(self._random.random())  # noqa: S311 - not for security
