"""A server under load whose disk fails, and the check of all that it has answered."""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from corvo_server.store.sqlite.backup import check as check_database
from server_support.waiting import wait_until
from support.api_client import ApiClient, refusal_of
from support.faults.figures import note_figures
from support.faults.injection import Injection
from support.faults.ledger import (
    OWN_QUEUES,
    Answers,
    Filler,
    Operator,
    PersistentRecorder,
    Reader,
)
from support.final_state import check_counters, finish_all_jobs, jobs_of
from support.history import History
from support.history_checker import check
from support.load import QUEUES, Load
from support.server import CorvoServer

SEED = int(os.environ.get("CORVO_FAULT_SEED", "0"))


class DiskRun:
    """Clients of all kinds at one server, until it is killed. Then every answer is checked.

    `CORVO_FAULT_SEED` seeds the random choices of the clients; the default is a new seed.
    """

    def __init__(self, name: str, server: CorvoServer, injection: Injection) -> None:
        self.name = name
        self.server = server
        self.injection = injection
        seed = SEED or random.SystemRandom().randrange(1, 10**9)
        print(f"\n{name}: seed {seed}")
        chance = random.Random(seed)  # noqa: S311 - not for security
        self.history = History()
        self.answers = Answers()
        self._load = Load(self.history, seed)
        self._operator = Operator(chance, self.answers)
        self._reader = Reader(self.answers)
        self.filler = Filler(self.answers)
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        async with ApiClient(self.server.url) as api:
            await self._reader.prepare(api)
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self) -> None:
        """Start the clients."""
        self._stop.clear()
        self._tasks = [asyncio.create_task(self._run())]

    async def _run(self) -> None:
        async with ApiClient(self.server.url) as api:
            recorders = [
                PersistentRecorder(api, self.history, self._stop, self.answers) for _ in range(9)
            ]
            async with asyncio.TaskGroup() as clients:
                clients.create_task(self._load.run_with(recorders, producers=3))
                for client in (self._operator, self._reader, self.filler):
                    clients.create_task(client.run(api, self._stop))

    async def see(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition is true, while the clients run."""
        await wait_until(lambda: self._tasks[0].done() or condition(), what)
        if self._tasks[0].done():
            self._tasks[0].result()
            raise AssertionError("the clients have ended")

    async def more(self, answers: int) -> None:
        """Wait until the clients have received `answers` more answers."""
        target = self._answered + answers
        await self.see(lambda: self._answered >= target, f"{answers} more answers")

    @property
    def _answered(self) -> int:
        return self.history.answers + self.answers.codes["OUTCOME_UNKNOWN"]

    async def problem(self) -> str:
        """Return why the server is not ready; an empty string if it is. It must be healthy."""
        async with ApiClient(self.server.url) as api:
            assert (await api.send("GET", "/healthz")).status_code == 200
            response = await api.send("GET", "/readyz")
            return "" if response.is_success else refusal_of(response).error

    async def is_ready(self) -> bool:
        """Return whether the server is ready."""
        return not await self.problem()

    async def see_ready(self) -> None:
        """Wait until the server is ready."""
        await wait_until(self.is_ready, "the server is ready")

    @property
    def log_size(self) -> int:
        """Bytes of the write-ahead log."""
        return Path(f"{self.server.database}-wal").stat().st_size

    @property
    def log_restarts(self) -> int:
        """How often the log has begun again after a complete checkpoint, by its head."""
        with Path(f"{self.server.database}-wal").open("rb") as log:
            return int.from_bytes(log.read(16)[12:], "big")

    async def stop(self) -> None:
        """End the clients."""
        self._stop.set()
        await self._tasks[0]

    @property
    def messages(self) -> str:
        """The log messages of the server."""
        return "\n".join(self.server.messages())

    async def metric(self, name: str) -> float:
        """Return the value of a metric without labels."""
        async with ApiClient(self.server.url) as api:
            text = (await api.send("GET", "/metrics")).text
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(line.split()[1])

    async def kill(self, *, cuts_power: bool = False) -> int:
        """Kill the server and end the clients. Return the number of pages that a power cut lost."""
        self._stop.set()
        await asyncio.to_thread(self.server.kill)
        await self._tasks[0]
        return self.injection.cut_power() if cuts_power else 0

    async def restart(self) -> None:
        """Start the server and check every answer to the clients. Their jobs are finished then."""
        await asyncio.to_thread(self.server.restart)
        violations = await self.violations()
        assert not violations, violations[:30]

    async def violations(self) -> list[str]:
        """Finish the jobs of the clients, and return what contradicts an answer."""
        async with ApiClient(self.server.url) as api:
            found: list[str] = []
            for client in (self._operator, self._reader, self.filler):
                found += await client.violations(api)
            names = {queue["name"] for queue in await api.get("/queues")}
            await finish_all_jobs(api, self.history, sorted(names.intersection(QUEUES)))
            jobs = await jobs_of(api, self.history)
            found += check(self.history, jobs).violations
            if not found:
                await check_counters(api, jobs, OWN_QUEUES)
        found += await asyncio.to_thread(check_database, self.server.data_dir)
        return [*self.answers.violations, *found]

    def note_figures(self, **figures: int) -> None:
        """Note the figures of this run for the guarantees, and print them."""
        calls = self.history.calls
        figures |= {
            "operations": len(calls) + self._operator.calls,
            "acknowledged": sum(call.is_done for call in calls),
            "reads": self.answers.reads.total(),
            "lost": 0,
        }
        print(f"{self.name}: {figures}, {dict(self.answers.codes)}")
        note_figures(self.name, **figures)
