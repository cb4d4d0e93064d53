"""Background services: they act on time, continue after errors, and end when cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from corvo_schema.states import JobState
from corvo_server.engine.engine import Engine
from corvo_server.services import service as service_module
from corvo_server.services.expirer import Expirer
from corvo_server.services.opener import Opener
from corvo_server.services.promoter import Promoter
from corvo_server.services.pruner import Pruner
from corvo_server.services.reclaimer import Reclaimer
from corvo_server.services.reporter import Reporter
from corvo_server.services.service import Service
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.workers import WorkerReport
from server_support.bench import LEASE_MS, Bench, make_job, turns, until
from server_support.clock import START

Run = Callable[[Service], None]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Run a service in a task until the test ends."""
    tasks: list[asyncio.Task[None]] = []
    yield lambda service: tasks.append(asyncio.create_task(service.run()))
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)


async def jobs_in(bench: Bench, state: JobState) -> int:
    found = await bench.store.find_queue("mail")
    return 0 if found is None else int(getattr(found, state.value))


async def until_jobs(bench: Bench, state: JobState, jobs: int) -> None:
    """Wait until the queue has `jobs` jobs in `state`."""
    deadline = asyncio.get_running_loop().time() + 10
    while await jobs_in(bench, state) != jobs:
        assert asyncio.get_running_loop().time() < deadline


@pytest.mark.parametrize("jobs", [0, 3, 1200])
async def test_promoter_promotes_all_due_jobs(bench: Bench, engine: Engine, jobs: int) -> None:
    await bench.enqueue(at=START + 2000)
    for _ in range(0, jobs, 600):
        await bench.enqueue_batch(*[make_job(at=START + 1000) for _ in range(min(jobs, 600))])
    bench.clock.forward(1000)
    promoter = Promoter(engine.maintenance)
    assert await promoter.run_once() == jobs
    assert await promoter.run_once() == 0
    assert await promoter.next_time() == START + 2000


async def test_reclaimer_reclaims_expired_leases(bench: Bench, engine: Engine) -> None:
    await bench.start(lease=10)
    await bench.start(lease=20)
    bench.clock.forward(10_000)
    reclaimer = Reclaimer(engine.maintenance)
    assert await reclaimer.run_once() == 1
    assert await reclaimer.next_time() == START + 20_000


async def test_expirer_ends_jobs_past_their_expiry(bench: Bench, engine: Engine) -> None:
    await bench.enqueue(expire_after="10s")
    await bench.enqueue(expire_after="20s")
    bench.clock.forward(10_000)
    expirer = Expirer(engine.maintenance)
    assert await expirer.run_once() == 1
    assert await expirer.next_time() == START + 20_000


async def test_pruner_deletes_in_chunks(bench: Bench, engine: Engine) -> None:
    await bench.bring_to(JobState.COMPLETED)
    pruner = Pruner(engine.maintenance, 0)
    assert await pruner.run_once() == 0
    bench.clock.forward(8 * 86_400_000)
    assert await pruner.run_once() > 0
    assert bench.kit.count_jobs() == {}


@pytest.mark.parametrize("make", [Promoter, Reclaimer, Expirer])
async def test_idle_service_does_not_wake(
    engine: Engine, make: Callable[[object], Service]
) -> None:
    waiting = asyncio.ensure_future(make(engine.maintenance).wait())
    await until(lambda: not waiting.done() and engine.store.backlog == 0)
    await turns()
    assert not waiting.done()
    waiting.cancel()


async def test_running_promoter_promotes_jobs_from_before_its_start(
    bench: Bench, engine: Engine, run: Run
) -> None:
    await bench.enqueue(at=START + 1)
    bench.clock.forward(1)
    run(Promoter(engine.maintenance))
    await until_jobs(bench, JobState.PENDING, 1)


async def test_running_promoter_notices_new_jobs(bench: Bench, engine: Engine, run: Run) -> None:
    run(Promoter(engine.maintenance))
    await bench.enqueue(at=START + 3_600_000)
    await bench.enqueue(at=START + 5)  # a real wait of 5 ms at most
    bench.clock.forward(5)
    await until_jobs(bench, JobState.PENDING, 1)
    assert await jobs_in(bench, JobState.SCHEDULED) == 1


async def test_running_promoter_notices_failed_jobs(bench: Bench, engine: Engine, run: Run) -> None:
    run(Promoter(engine.maintenance))
    job = await bench.start(retry_backoff="none")
    await bench.fail(job)
    await until_jobs(bench, JobState.PENDING, 1)


async def test_running_reclaimer_notices_leases(bench: Bench, engine: Engine, run: Run) -> None:
    run(Reclaimer(engine.maintenance))
    await bench.start(lease=1)
    bench.clock.forward(1000)
    engine.maintenance.lease_end.bring_forward(0)  # instead of waiting for a second
    await until_jobs(bench, JobState.PENDING, 1)


async def test_running_expirer_notices_jobs(bench: Bench, engine: Engine, run: Run) -> None:
    run(Expirer(engine.maintenance))
    await bench.enqueue(expire_after="0s")
    await until_jobs(bench, JobState.DEAD, 1)


async def test_reclaimed_job_can_expire(bench: Bench, engine: Engine, run: Run) -> None:
    run(Expirer(engine.maintenance))
    await bench.start(expire_after="90s")
    await bench.tick(LEASE_MS)
    await until_jobs(bench, JobState.PENDING, 1)
    bench.clock.forward(30_000)
    engine.maintenance.expiry.bring_forward(0)  # instead of waiting for half a minute
    await until_jobs(bench, JobState.DEAD, 1)


async def test_running_pruner_repeats_after_its_interval(
    bench: Bench, engine: Engine, run: Run
) -> None:
    await bench.bring_to(JobState.COMPLETED)
    bench.clock.forward(8 * 86_400_000)
    run(Pruner(engine.maintenance, 0.001))
    await until_jobs(bench, JobState.COMPLETED, 0)


async def test_running_opener_wakes_fetches_of_rate_limited_queues(
    bench: Bench, engine: Engine, run: Run
) -> None:
    run(Opener(engine.maintenance))
    await engine.queues.throttle("mail", 1, 60_000)
    first, second = [await bench.enqueue() for _ in range(2)]
    assert await bench.fetch_ids() == [first]
    waiting = await bench.waiting()
    bench.clock.forward(60_000)
    engine.maintenance.opening.bring_forward(0)  # instead of waiting for a minute
    (job,) = await asyncio.wait_for(waiting, 5)
    assert job.head.id == second


class Failing(Service):
    """A service that raises the given errors in turn, then works."""

    name = "failing"

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.is_done = asyncio.Event()

    async def run_once(self) -> int:
        if self.errors:
            raise self.errors.pop(0)
        self.is_done.set()
        return 1

    async def wait(self) -> None:
        await asyncio.sleep(0)


async def test_service_continues_after_errors(
    run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_PAUSE_AFTER_ERROR", 0)
    service = Failing(StoreUnavailable("no disk"), ValueError("a bug"))
    run(service)
    await asyncio.wait_for(service.is_done.wait(), 5)
    first, second = [record for record in caplog.records if "failing" in record.getMessage()]
    assert (first.levelname, "no disk" in first.getMessage()) == ("WARNING", True)
    assert first.exc_info is None
    assert (second.levelname, "continues" in second.getMessage()) == ("ERROR", True)
    assert second.exc_info is not None


async def test_running_service_continues_after_a_failed_write(
    bench: Bench, engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_PAUSE_AFTER_ERROR", 0.001)
    await bench.enqueue(at=START + 1)
    bench.clock.forward(1)
    with bench.kit.break_commits(bench.store, times=2):
        run(Promoter(engine.maintenance))
        await until_jobs(bench, JobState.PENDING, 1)


async def test_running_reporter_reports_new_workers_at_once_and_others_after_the_interval(
    engine: Engine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[str] = []

    async def note(reports: list[WorkerReport]) -> None:
        reported.extend(report.id for report in reports)

    monkeypatch.setattr(engine.store, "report_workers", note)
    run(Reporter(engine.workers, interval=3_600, shortest=0))
    await turns()
    engine.workers.note_heartbeat("new")
    await until(lambda: reported == ["new"])
    engine.workers.note_heartbeat("new")
    await turns()
    assert reported == ["new"]
    run(Reporter(engine.workers, interval=0.001, shortest=0))
    await until(lambda: reported == ["new", "new"])
