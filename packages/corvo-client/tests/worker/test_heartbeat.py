import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from corvo_client.worker._context import Context
from corvo_client.worker._heartbeat import Heartbeat
from corvo_client.worker._leases import Interruption, Lease, LeaseTable
from corvo_client.worker._watch import LoopWatch
from corvo_schema.outcomes import HeartbeatJobReply
from corvo_schema.progress import Progress

MakeLease = Callable[..., Lease]


@pytest.fixture
def leases() -> LeaseTable:
    return LeaseTable()


@pytest.fixture
def interrupted() -> list[tuple[Lease, Interruption]]:
    return []


@pytest.fixture
async def heartbeat(
    leases: LeaseTable, server: Any, clock: Any, interrupted: list[tuple[Lease, Interruption]]
) -> AsyncIterator[Heartbeat]:
    heartbeat = Heartbeat(
        leases=leases,
        heartbeat_sender=server,
        worker_id="worker_1",
        on_interrupt=lambda lease, why: interrupted.append((lease, why)),
        watch=LoopWatch(asyncio.get_running_loop()),
        clock=clock,
    )
    yield heartbeat
    # The thread signs off with a server that needs the loop.
    heartbeat.stop()
    if heartbeat._thread.ident is not None:
        await asyncio.to_thread(heartbeat.join, 10)


@pytest.fixture
def add_lease(leases: LeaseTable, make_lease: MakeLease) -> MakeLease:
    def add_lease(**fields: Any) -> Lease:
        lease = make_lease(**fields)
        leases.add(lease)
        return lease

    return add_lease


def test_interval_is_15_s_or_a_third_of_the_shortest_lease(
    heartbeat: Heartbeat, add_lease: MakeLease
) -> None:
    assert heartbeat.interval == 15
    add_lease(lease_duration=60)
    assert heartbeat.interval == 15
    add_lease(lease_duration=30)
    assert heartbeat.interval == 10


def test_one_request_extends_every_lease(
    heartbeat: Heartbeat, add_lease: MakeLease, server: Any, clock: Any
) -> None:
    leases = [add_lease(), add_lease(lease_duration=60)]
    clock.forward(9.9)
    heartbeat.tick()
    assert server.beats == []
    clock.forward(0.1)
    heartbeat.tick()
    heartbeat.tick()
    (beat,) = server.beats
    assert beat.worker_id == "worker_1"
    assert set(beat.jobs) == {lease.job.job_id for lease in leases}
    assert all(job.lease_token == "token" for job in beat.jobs.values())
    assert [lease.ends_at - clock() for lease in leases] == [30, 60]


def test_full_disk_of_the_server_costs_no_lease(
    heartbeat: Heartbeat, add_lease: MakeLease, server: Any, clock: Any
) -> None:
    noted, other = add_lease(), add_lease()
    noted.note_checkpoint({"page": 1})
    server.is_full = True
    clock.forward(10)
    heartbeat.tick()
    (beat,) = server.beats
    assert [job.checkpoint for job in beat.jobs.values()] == [None, None]
    assert [lease.ends_at - clock() for lease in (noted, other)] == [30, 30]
    assert noted.unsent_checkpoint == {"page": 1}
    server.is_full = False
    clock.forward(10)
    heartbeat.tick()
    assert server.beats[1].jobs[noted.job.job_id].checkpoint == {"page": 1}
    assert noted.unsent_checkpoint is None


def test_without_jobs_there_is_no_request(heartbeat: Heartbeat, server: Any, clock: Any) -> None:
    clock.forward(100)
    heartbeat.tick()
    assert server.beats == []


def test_many_jobs_are_split_into_requests(
    heartbeat: Heartbeat, add_lease: MakeLease, server: Any, clock: Any
) -> None:
    for _ in range(1001):
        add_lease()
    clock.forward(10)
    heartbeat.tick()
    assert [len(beat.jobs) for beat in server.beats] == [500, 500, 1]


def test_notes_are_sent_once_at_the_next_tick(
    heartbeat: Heartbeat, add_lease: MakeLease, server: Any
) -> None:
    lease = add_lease()
    lease.on_note = heartbeat.poke
    lease.note_progress(Progress(current=1))
    lease.note_checkpoint({"page": 2})
    heartbeat.tick()
    heartbeat.tick()
    (beat,) = server.beats
    job = beat.jobs[lease.job.job_id]
    assert (job.progress, job.checkpoint) == (Progress(current=1), {"page": 2})
    assert lease.unsent_checkpoint is None
    assert lease.unsent_progress is None


def test_a_failed_heartbeat_is_retried_sooner_with_its_notes(
    heartbeat: Heartbeat,
    add_lease: MakeLease,
    server: Any,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lease = add_lease()
    lease.note_checkpoint(1)
    ends_at = lease.ends_at
    server.is_down = True
    clock.forward(10)
    heartbeat.tick()
    heartbeat.tick()
    clock.forward(1)
    heartbeat.tick()
    assert lease.ends_at == ends_at
    assert len(caplog.records) == 1
    assert "connection refused" in caplog.text
    server.is_down = False
    clock.forward(1)
    heartbeat.tick()
    assert len(server.beats) == 1
    assert lease.unsent_checkpoint is None
    assert lease.ends_at == clock() + 30


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("cancelled", Interruption.CANCELLED),
        ("a reason of the future", Interruption.CANCELLED),
        (None, Interruption.CANCELLED),
        ("lease_lost", Interruption.LOST),
        ("not_found", Interruption.LOST),
        ("finished", Interruption.LOST),
    ],
)
def test_a_cancel_in_the_answer_interrupts_the_job(
    heartbeat: Heartbeat,
    add_lease: MakeLease,
    server: Any,
    clock: Any,
    interrupted: list[tuple[Lease, Interruption]],
    reason: str | None,
    why: Interruption,
) -> None:
    lease, other = add_lease(), add_lease()
    server.answers[lease.job.job_id] = HeartbeatJobReply(status="cancel", reason=reason)
    clock.forward(10)
    heartbeat.tick()
    assert interrupted == [(lease, why)]
    assert (lease.ends_at > other.job.lease_duration / 1000 + clock() - 1) is (
        why is Interruption.CANCELLED
    )


def test_a_job_whose_report_is_in_flight_is_not_interrupted(
    heartbeat: Heartbeat,
    add_lease: MakeLease,
    server: Any,
    clock: Any,
    interrupted: list[tuple[Lease, Interruption]],
) -> None:
    lease = add_lease()
    lease.is_running = False
    server.answers[lease.job.job_id] = HeartbeatJobReply(status="cancel", reason="finished")
    clock.forward(10)
    heartbeat.tick()
    assert interrupted == []


def test_a_job_that_is_missing_in_the_answer_does_not_change(
    heartbeat: Heartbeat, add_lease: MakeLease, server: Any, clock: Any
) -> None:
    lease = add_lease()
    ends_at = lease.ends_at
    beat, server.beat = server.beat, lambda request: beat(request).model_copy(update={"jobs": {}})
    clock.forward(10)
    heartbeat.tick()
    assert lease.ends_at == ends_at


def test_rejected_notes_do_not_affect_other_leases(
    heartbeat: Heartbeat,
    add_lease: MakeLease,
    server: Any,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    leases = [add_lease() for _ in range(5)]
    leases[3].note_checkpoint("huge")
    server.refuses = lambda job: job.checkpoint == "huge"
    clock.forward(10)
    heartbeat.tick()
    assert all(lease.ends_at == clock() + 30 for lease in leases)
    assert f"a checkpoint or progress of job {leases[3].job.job_id}, dropping it" in caplog.text
    assert leases[3].unsent_checkpoint is None
    assert leases[3].checkpoint == "huge"
    context = Context(leases[3])
    with pytest.raises(ValueError, match="the server rejected a checkpoint: too large"):
        context.checkpoint("small")
    Context(leases[2]).checkpoint("small")


def test_a_rejected_job_does_not_affect_other_leases(
    heartbeat: Heartbeat, add_lease: MakeLease, server: Any, clock: Any
) -> None:
    odd, other = add_lease(lease_token="odd"), add_lease()
    server.refuses = lambda job: job.lease_token == "odd"
    clock.forward(10)
    heartbeat.tick()
    assert odd.ends_at == clock() + 20
    assert other.ends_at == clock() + 30


async def test_the_thread_answers_a_flush_at_once_and_ends_at_stop(
    heartbeat: Heartbeat, add_lease: MakeLease, server: Any
) -> None:
    lease = add_lease()
    lease.note_checkpoint(1)
    heartbeat.start()
    async with asyncio.timeout(10):
        assert await asyncio.wrap_future(heartbeat.flush())
        assert lease.unsent_checkpoint is None
        server.is_down = True
        assert not await asyncio.wrap_future(heartbeat.flush())
        heartbeat.stop()
        await asyncio.to_thread(heartbeat.join, 10)
    assert server.is_closed
    assert not heartbeat.flush().result(0)


async def test_the_thread_survives_a_bug(
    heartbeat: Heartbeat, server: Any, add_lease: MakeLease, caplog: pytest.LogCaptureFixture
) -> None:
    add_lease()
    beat = server.beat

    def broken(_request: Any) -> Any:
        server.beat = beat
        raise ZeroDivisionError

    server.beat = broken
    heartbeat.start()
    async with asyncio.timeout(10):
        broken_flush = asyncio.wrap_future(heartbeat.flush())
        assert not await broken_flush
        assert await asyncio.wrap_future(heartbeat.flush())
    assert "the heartbeat failed with an unexpected error" in caplog.text
    heartbeat.stop()
    await asyncio.to_thread(heartbeat.join, 10)


async def test_a_flush_during_stop_is_answered(
    heartbeat: Heartbeat, server: Any, add_lease: MakeLease
) -> None:
    add_lease()
    flush = heartbeat.flush()
    heartbeat.stop()
    heartbeat.start()
    async with asyncio.timeout(10):
        assert not await asyncio.wrap_future(flush)
