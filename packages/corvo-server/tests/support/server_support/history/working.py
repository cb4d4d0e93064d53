"""Random calls of workers."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from corvo_schema.states import JobState
from corvo_server.store.records import LeasedJob, Outcome
from server_support.history.life import CALLBACKS, QUEUES, Call, Life, some
from server_support.model.model import check_outcome
from server_support.model.parts import Answer

MAX_FETCH_BYTES = 1_000
"""The setting `max_fetch_bytes`."""
RECENT = 8
"""Number of newest leases that reports are about."""


@dataclass(frozen=True)
class Fetch(Call):
    """A fetch that does not wait."""

    queues: tuple[str, ...]
    count: int
    lease: int
    is_fenced: bool

    rank = 9

    async def make(self, life: Life, aim: Any) -> list[LeasedJob]:
        lease = self.lease / 1000
        return await life.bench.fetch(
            *self.queues, count=self.count, lease=lease, fenced=self.is_fenced
        )

    def expect(self, life: Life, aim: Any, answer: list[LeasedJob]) -> None:
        expected = life.model.next_jobs(self.queues, self.count, MAX_FETCH_BYTES)
        assert [job.head.id for job in answer] == [job.id for job in expected]
        for job, lease in zip(expected, answer, strict=True):
            life.model.start(job, lease, self.lease, is_fenced=self.is_fenced)
            life.leases.append(lease)


@dataclass(frozen=True)
class Report(Call):
    """An ack, fail, release or heartbeat."""

    verb: str
    which: int
    token: str
    may_retry: bool
    is_cancel: bool
    delay: int
    checkpoint: str | None

    rank = 1

    def aim(self, life: Life) -> LeasedJob | None:
        leases: list[LeasedJob] = life.leases[-RECENT:]
        return leases[-1 - self.which % len(leases)] if leases else None

    async def make(self, life: Life, aim: LeasedJob | None) -> Outcome | None:
        if aim is None:
            return None
        bench, token = life.bench, self._token(aim)
        match self.verb:
            case "ack":
                return await bench.ack(aim, token=token)
            case "fail":
                return await bench.fail(
                    aim, token=token, retry=self.may_retry, cancel=self.is_cancel
                )
            case "release":
                return await bench.release(
                    aim, token=token, delay=self.delay, checkpoint=self.checkpoint
                )
            case _:
                return await bench.heartbeat(aim, token=token, checkpoint=self.checkpoint)

    def expect(self, life: Life, aim: LeasedJob | None, answer: Any) -> None:
        if aim is None:
            return
        model, job_id, token = life.model, aim.head.id, self._token(aim)
        expected: Answer
        match self.verb:
            case "ack":
                expected = model.ack(job_id, token)
            case "fail":
                expected = model.fail(
                    job_id, token, may_retry=self.may_retry, is_cancel=self.is_cancel
                )
                self._adopt_luck(life, job_id, answer)
            case "release":
                expected = model.release(job_id, token, self.delay, self.checkpoint)
            case _:
                expected = model.heartbeat(job_id, token, self.checkpoint)
        check_outcome(answer, expected)

    def _token(self, lease: LeasedJob) -> str | None:
        return {"own": lease.head.lease_token, "none": None, "wrong": "wrong"}[self.token]

    def _adopt_luck(self, life: Life, job_id: str, outcome: Outcome) -> None:
        """Adopt the random part of a retry delay, at most a tenth, and assert its bounds."""
        job = life.model.jobs.get(job_id)
        head = getattr(outcome, "job", None)
        if job is None or job.state is not JobState.RETRYING or head is None:
            return
        if head.state is JobState.RETRYING and job.scheduled_at != head.scheduled_at:
            longest = life.model.delay(job) // 10
            assert job.scheduled_at is not None
            assert job.scheduled_at <= head.scheduled_at <= job.scheduled_at + longest
            job.scheduled_at = head.scheduled_at


fetches = st.builds(
    Fetch,
    queues=st.sampled_from([("a",), ("a",), ("b", "a"), QUEUES, (CALLBACKS,)]),
    count=st.sampled_from([1, 2, 10, 10]),
    lease=st.sampled_from([5_000, 60_000]),
    is_fenced=st.booleans(),
)
reports = st.builds(
    Report,
    verb=st.sampled_from(["ack", "ack", "fail", "fail", "release", "heartbeat"]),
    which=some,
    token=st.sampled_from(["own", "own", "own", "own", "none", "wrong"]),
    may_retry=st.sampled_from([True, True, False]),
    is_cancel=st.sampled_from([False, False, False, True]),
    delay=st.sampled_from([0, 0, 5_000]),
    checkpoint=st.sampled_from([None, None, None, "c" * 450, "c" * 2_000]),
)
