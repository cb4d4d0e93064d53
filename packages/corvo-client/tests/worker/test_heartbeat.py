import asyncio
from collections.abc import Callable
from typing import Any

import pytest

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
) -> Heartbeat:
    return Heartbeat(
        leases=leases,
        heartbeat_sender=server,
        worker_id="worker_1",
        on_interrupt=lambda lease, why: interrupted.append((lease, why)),
        watch=LoopWatch(asyncio.get_running_loop()),
        clock=clock,
    )


@pytest.fixture
def hold(leases: LeaseTable, make_lease: MakeLease) -> MakeLease:
    def hold(**fields: Any) -> Lease:
        lease = make_lease(**fields)
        leases.add(lease)
        return lease

    return hold


def test_it_beats_every_15_seconds_or_a_third_of_the_shortest_lease(
    heartbeat: Heartbeat, hold: MakeLease
) -> None:
    assert heartbeat.interval == 15
    hold(lease_duration=60)
    assert heartbeat.interval == 15
    hold(lease_duration=30)
    assert heartbeat.interval == 10


def test_one_request_extends_every_lease(
    heartbeat: Heartbeat, hold: MakeLease, server: Any, clock: Any
) -> None:
    held = [hold(), hold(lease_duration=60)]
    clock.forward(9.9)
    heartbeat.tick()
    assert server.beats == []
    clock.forward(0.1)
    heartbeat.tick()
    heartbeat.tick()
    (beat,) = server.beats
    assert beat.worker_id == "worker_1"
    assert set(beat.jobs) == {lease.job.job_id for lease in held}
    assert all(job.lease_token == "token" for job in beat.jobs.values())
    assert [lease.ends_at - clock() for lease in held] == [30, 60]


def test_no_jobs_need_no_request(heartbeat: Heartbeat, server: Any, clock: Any) -> None:
    clock.forward(100)
    heartbeat.tick()
    assert server.beats == []


def test_many_jobs_are_spread_over_requests(
    heartbeat: Heartbeat, hold: MakeLease, server: Any, clock: Any
) -> None:
    for _ in range(1001):
        hold()
    clock.forward(10)
    heartbeat.tick()
    assert [len(beat.jobs) for beat in server.beats] == [500, 500, 1]


def test_notes_go_out_at_the_next_tick_and_once(
    heartbeat: Heartbeat, hold: MakeLease, server: Any
) -> None:
    lease = hold()
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


def test_an_outage_is_retried_sooner_and_keeps_the_notes(
    heartbeat: Heartbeat,
    hold: MakeLease,
    server: Any,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lease = hold()
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
    hold: MakeLease,
    server: Any,
    clock: Any,
    interrupted: list[tuple[Lease, Interruption]],
    reason: str | None,
    why: Interruption,
) -> None:
    lease, other = hold(), hold()
    server.answers[lease.job.job_id] = HeartbeatJobReply(status="cancel", reason=reason)
    clock.forward(10)
    heartbeat.tick()
    assert interrupted == [(lease, why)]
    assert (lease.ends_at > other.job.lease_duration / 1000 + clock() - 1) is (
        why is Interruption.CANCELLED
    )


def test_a_job_whose_outcome_is_on_its_way_is_not_interrupted(
    heartbeat: Heartbeat,
    hold: MakeLease,
    server: Any,
    clock: Any,
    interrupted: list[tuple[Lease, Interruption]],
) -> None:
    lease = hold()
    lease.is_running = False
    server.answers[lease.job.job_id] = HeartbeatJobReply(status="cancel", reason="finished")
    clock.forward(10)
    heartbeat.tick()
    assert interrupted == []


def test_a_job_that_the_answer_does_not_name_is_left_alone(
    heartbeat: Heartbeat, hold: MakeLease, server: Any, clock: Any
) -> None:
    lease = hold()
    ends_at = lease.ends_at
    beat, server.beat = server.beat, lambda request: beat(request).model_copy(update={"jobs": {}})
    clock.forward(10)
    heartbeat.tick()
    assert lease.ends_at == ends_at


def test_notes_that_the_server_refuses_cost_no_lease(
    heartbeat: Heartbeat,
    hold: MakeLease,
    server: Any,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = [hold() for _ in range(5)]
    held[3].note_checkpoint("huge")
    server.refuses = lambda job: job.checkpoint == "huge"
    clock.forward(10)
    heartbeat.tick()
    assert all(lease.ends_at == clock() + 30 for lease in held)
    assert f"a checkpoint or progress of job {held[3].job.job_id} is dropped" in caplog.text
    assert held[3].unsent_checkpoint is None
    assert held[3].checkpoint == "huge"


def test_a_job_that_is_refused_without_notes_costs_the_others_nothing(
    heartbeat: Heartbeat, hold: MakeLease, server: Any, clock: Any
) -> None:
    odd, other = hold(lease_token="odd"), hold()
    server.refuses = lambda job: job.lease_token == "odd"
    clock.forward(10)
    heartbeat.tick()
    assert odd.ends_at == clock() + 20
    assert other.ends_at == clock() + 30


async def test_the_thread_answers_a_flush_at_once_and_ends_when_told(
    heartbeat: Heartbeat, hold: MakeLease, server: Any
) -> None:
    lease = hold()
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
    heartbeat: Heartbeat, server: Any, hold: MakeLease, caplog: pytest.LogCaptureFixture
) -> None:
    hold()
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
    assert "the heartbeat failed, trying on" in caplog.text
    heartbeat.stop()
    await asyncio.to_thread(heartbeat.join, 10)


async def test_a_flush_that_comes_with_the_stop_is_answered(
    heartbeat: Heartbeat, server: Any, hold: MakeLease
) -> None:
    hold()
    flush = heartbeat.flush()
    heartbeat.stop()
    heartbeat.start()
    async with asyncio.timeout(10):
        assert not await asyncio.wrap_future(flush)
