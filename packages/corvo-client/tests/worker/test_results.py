import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from corvo_client._backoff import Backoff
from corvo_client.worker._leases import Lease, LeaseTable
from corvo_client.worker._outcomes import Completed, Failed, Outcome, Released
from corvo_client.worker._reports import Reporter
from corvo_client.worker._results import Results
from corvo_schema.progress import Progress

MakeLease = Callable[..., Lease]


class FakeNotes:
    """Replaces the flush of the heartbeat."""

    def __init__(self, leases: LeaseTable, server: Any) -> None:
        self.flushes = 0
        self.works = True
        self._leases = leases
        self._server = server

    async def __call__(self) -> bool:
        self.flushes += 1
        self._server.has_changed()
        if self.works:
            for lease in self._leases:
                lease.clear_sent_notes(lease.unsent_checkpoint, lease.unsent_progress)
        return self.works


@pytest.fixture
def leases() -> LeaseTable:
    return LeaseTable()


@pytest.fixture
def notes(leases: LeaseTable, server: Any) -> FakeNotes:
    return FakeNotes(leases, server)


@pytest.fixture
async def reporter(server: Any, leases: LeaseTable, notes: FakeNotes) -> Reporter:
    return Reporter(server, leases, notes)


@pytest.fixture
async def results(reporter: Reporter, leases: LeaseTable, clock: Any) -> AsyncIterator[Results]:
    results = Results(leases, reporter.deliver, Backoff(base=0.0), clock)
    loop = asyncio.create_task(results.run())
    yield results
    loop.cancel()
    await asyncio.wait([loop])


@pytest.fixture
def add_lease(leases: LeaseTable, make_lease: MakeLease) -> MakeLease:
    def add_lease(**fields: Any) -> Lease:
        lease = make_lease(**fields)
        leases.add(lease)
        return lease

    return add_lease


async def drained(results: Results) -> None:
    async with asyncio.timeout(10):
        await results.drained()


async def test_simultaneous_outcomes_share_a_request(
    results: Results, add_lease: MakeLease, server: Any, leases: LeaseTable
) -> None:
    for number in range(600):
        results.put(add_lease(), Completed(number))
    assert len(results) == 600
    await drained(results)
    assert [len(items) for items in server.requests] == [512, 88]
    assert [ack.result for ack in server.acks] == list(range(600))
    assert all(ack.lease_token == "token" for ack in server.acks)
    assert len(results) == len(leases) == 0


async def test_each_kind_of_outcome_has_its_request(
    results: Results, add_lease: MakeLease, server: Any
) -> None:
    done, failed, released = add_lease(), add_lease(), add_lease()
    released.note_checkpoint({"page": 3})
    results.put(done, Completed())
    results.put(failed, Failed("E: x", "trace", retry=False, cancel=True))
    results.put(released, Released(2.5))
    await drained(results)
    (ack,), (fail,), (release,) = server.acks, server.fails, server.releases
    assert (ack.job_id, ack.result) == (done.job.job_id, None)
    assert (fail.error, fail.backtrace, fail.retry, fail.cancel) == ("E: x", "trace", False, True)
    assert fail.lease_token == "token"
    assert (release.delay, release.checkpoint) == (2500, {"page": 3})


@pytest.mark.parametrize("outcome", [Completed(), Failed("no"), Released()])
@pytest.mark.parametrize("works", [True, False])
async def test_the_last_progress_is_sent_before_the_outcome(
    results: Results,
    add_lease: MakeLease,
    server: Any,
    notes: FakeNotes,
    outcome: Outcome,
    works: bool,
) -> None:
    notes.works = works
    plain, lease = add_lease(), add_lease()
    lease.note_progress(Progress(current=100, total=100))
    seen: list[bool] = []
    server.refuses = lambda item: seen.append(item.job_id == lease.job.job_id and lease.has_notes)
    results.put(plain, Completed())
    results.put(lease, outcome)
    await drained(results)
    assert notes.flushes == 1
    assert any(seen) is not works  # an outcome does not wait for progress that cannot be sent
    assert len(server.acks + server.fails + server.releases) == 2


async def test_a_checkpoint_is_sent_before_the_ack(
    results: Results, add_lease: MakeLease, notes: FakeNotes
) -> None:
    lease = add_lease()
    lease.note_checkpoint({"page": 9})
    results.put(lease, Completed())
    await drained(results)
    assert notes.flushes == 1
    assert not lease.has_notes


@pytest.mark.parametrize(("delay", "ms"), [(0.0, None), (0.0001, 1), (1.0001, 1001), (3, 3000)])
async def test_a_delay_is_rounded_up_to_milliseconds(
    results: Results, add_lease: MakeLease, server: Any, delay: float, ms: int | None
) -> None:
    results.put(add_lease(), Released(delay))
    await drained(results)
    assert server.releases[0].delay == ms


async def test_a_checkpoint_is_sent_before_the_failure(
    results: Results, add_lease: MakeLease, server: Any, notes: FakeNotes
) -> None:
    results.put(add_lease(), Failed("without checkpoint"))
    await drained(results)
    assert notes.flushes == 0
    lease = add_lease()
    lease.note_checkpoint(1)
    notes.works = False
    results.put(lease, Failed("with checkpoint"))
    await server.seen(lambda: notes.flushes >= 3)
    assert len(server.fails) == 1
    notes.works = True
    await drained(results)
    assert [fail.error for fail in server.fails] == ["without checkpoint", "with checkpoint"]


async def test_reports_are_retried_in_order(
    results: Results,
    add_lease: MakeLease,
    server: Any,
    leases: LeaseTable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.is_down = True
    results.put(add_lease(), Completed(1))
    await server.seen(lambda: caplog.records)
    results.put(add_lease(), Completed(2))
    for _ in range(20):
        await asyncio.sleep(0)
    assert (len(results), len(leases)) == (2, 2)
    server.is_down = False
    await drained(results)
    assert [ack.result for ack in server.acks] == [1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "cannot report outcomes, retrying: connection refused"
    ]


async def test_an_outcome_is_dropped_after_the_end_of_its_lease(
    results: Results,
    add_lease: MakeLease,
    server: Any,
    clock: Any,
    leases: LeaseTable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.is_down = True
    short, long = add_lease(lease_duration=5), add_lease(lease_duration=60)
    results.put(short, Completed(1))
    results.put(long, Completed(2))
    await server.seen(lambda: caplog.records)
    clock.forward(10)
    await server.seen(lambda: len(results) == 1)
    assert f"the outcome of job {short.job.job_id} could not be reported" in caplog.text
    server.is_down = False
    await drained(results)
    assert [ack.result for ack in server.acks] == [2]
    assert len(leases) == 0


async def test_a_rejected_outcome_is_logged_and_dropped(
    results: Results,
    add_lease: MakeLease,
    server: Any,
    leases: LeaseTable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    late, fine = add_lease(), add_lease()
    server.late_codes[late.job.job_id] = "LEASE_LOST"
    results.put(late, Completed())
    results.put(fine, Completed())
    await drained(results)
    assert len(leases) == 0
    (record,) = caplog.records
    assert f"rejected the outcome of job {late.job.job_id} (LEASE_LOST)" in record.getMessage()


async def test_a_rejected_result_does_not_affect_other_results(
    results: Results, add_lease: MakeLease, server: Any
) -> None:
    server.refuses = lambda item: getattr(item, "result", None) == "huge"
    for number in range(100):
        results.put(add_lease(), Completed("huge" if number == 37 else number))
    await drained(results)
    assert [ack.result for ack in server.acks] == [n for n in range(100) if n != 37]
    (fail,) = server.fails
    assert fail.error == "the server rejected the result: too large"
    assert not fail.retry


async def test_a_rejected_failure_is_dropped(
    results: Results,
    add_lease: MakeLease,
    server: Any,
    leases: LeaseTable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.refuses = lambda _item: True
    results.put(add_lease(), Failed("x"))
    await drained(results)
    assert server.fails == []
    assert len(leases) == 0
    assert "the server rejected the outcome of job" in caplog.text


async def test_a_failure_that_is_too_large_is_replaced(
    results: Results, add_lease: MakeLease, server: Any, leases: LeaseTable
) -> None:
    server.refuses = lambda item: getattr(item, "backtrace", None) is not None
    results.put(add_lease(), Failed("x", "huge", retry=False, cancel=True))
    results.put(add_lease(), Failed("y"))
    await drained(results)
    assert {(fail.error, fail.backtrace, fail.retry, fail.cancel) for fail in server.fails} == {
        ("the attempt failed, and the server rejected its error", None, False, True),
        ("y", None, True, False),
    }
    assert len(leases) == 0


async def test_a_rejected_release_fails_the_attempt(
    results: Results, add_lease: MakeLease, server: Any, notes: FakeNotes, leases: LeaseTable
) -> None:
    lease = add_lease()
    lease.note_checkpoint("huge")
    server.refuses = lambda item: getattr(item, "checkpoint", None) == "huge"
    results.put(lease, Released(5))
    await drained(results)
    (fail,) = server.fails
    assert (fail.error, fail.retry) == ("the server rejected the release: too large", True)
    assert notes.flushes == 0  # the checkpoint is not sent again
    assert len(leases) == 0


async def test_a_release_whose_checkpoint_was_rejected_before_fails_the_attempt(
    results: Results, add_lease: MakeLease, server: Any
) -> None:
    lease = add_lease()
    lease.rejection = "too large"
    results.put(lease, Released(5))
    results.put(add_lease(), Released(7))
    await drained(results)
    (fail,) = server.fails
    assert (fail.error, fail.retry) == ("the server rejected the release: too large", True)
    assert len(server.releases) == 1


async def test_a_failure_names_the_rejected_checkpoint(
    results: Results, add_lease: MakeLease, server: Any
) -> None:
    lease = add_lease()
    lease.rejection = "too large"
    results.put(lease, Failed("ValueError: x"))
    await drained(results)
    assert server.fails[0].error == "ValueError: x (the server rejected a checkpoint: too large)"


@pytest.mark.parametrize("outcome", [Completed(1), Failed("x"), Released(-1e30), Completed("odd")])
async def test_an_unexpected_error_ends_only_its_attempt(
    results: Results,
    add_lease: MakeLease,
    server: Any,
    leases: LeaseTable,
    caplog: pytest.LogCaptureFixture,
    outcome: Any,
) -> None:
    def refuse(item: Any) -> bool:
        if getattr(item, "result", None) in {1, "odd"} or getattr(item, "error", None) == "x":
            raise KeyError("a bug")
        return False

    server.refuses = refuse
    fine = [add_lease() for _ in range(5)]
    for lease in fine:
        results.put(lease, Completed("fine"))
    results.put(add_lease(), outcome)
    for lease in [add_lease() for _ in range(5)]:
        results.put(lease, Completed("fine"))
    await drained(results)
    assert [ack.result for ack in server.acks] == ["fine"] * 10
    assert len(server.fails) == 1
    assert len(leases) == 0
    assert "unexpected error" in caplog.text
    assert "Traceback" in caplog.text


async def test_reports_go_on_after_a_bug(
    reporter: Reporter,
    results: Results,
    add_lease: MakeLease,
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliver, bugs = results._deliver, [KeyError("a bug")]

    async def fail_once(reports: Any) -> Any:
        if bugs:
            raise bugs.pop()
        return await deliver(reports)

    monkeypatch.setattr(results, "_deliver", fail_once)
    results.put(add_lease(), Completed(1))
    await drained(results)
    assert [ack.result for ack in server.acks] == [1]
    assert "unexpected error, retrying" in caplog.text


async def test_a_later_lease_of_the_same_job_stays(
    results: Results, add_lease: MakeLease, leases: LeaseTable
) -> None:
    first = add_lease()
    second = add_lease(job_id=first.job.job_id)
    results.put(first, Completed())
    await drained(results)
    assert leases.contains(second)
