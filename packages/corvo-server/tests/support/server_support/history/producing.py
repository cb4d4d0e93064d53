"""Random enqueues."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from corvo_server.engine.errors import CallError
from corvo_server.store.records import Enqueued
from server_support.bench import make_job
from server_support.history.life import CALLBACKS, Call, Life, busy, some
from server_support.model.producers import Wanted, check_enqueued


@dataclass(frozen=True)
class NewJob:
    """A job to enqueue."""

    queue: str
    priority: int = 2
    delay: int | None = None
    expire_after: int | None = None
    max_retries: int = 3
    backoff: int | None = None
    unique_key: str | None = None
    unique_period: int = 3_600_000
    on_conflict: str = "ignore"
    concurrency_key: str | None = None
    given_id: str | None = None
    payload: str | None = None

    def request(self, now: int) -> Any:
        """Return the arguments of the call."""
        fields: dict[str, Any] = {
            "priority": self.priority,
            "max_retries": self.max_retries,
            "unique_key": self.unique_key,
            "unique_period": self.unique_period / 1000,
            "on_conflict": self.on_conflict,
            "concurrency_key": self.concurrency_key,
            "job_id": self.given_id,
        }
        if self.backoff is not None:
            fields["retry_backoff"] = "fixed" if self.backoff else "none"
            fields["retry_base_delay"] = f"{self.backoff}ms"
        if self.expire_after is not None:
            fields["expire_after"] = f"{self.expire_after}ms"
        at = None if self.delay is None else now + self.delay
        return make_job(self.queue, payload=self.payload, at=at, **fields)

    def wanted(self) -> Wanted:
        """Return what decides whether the request is refused."""
        return Wanted(self.given_id, self.queue, self.payload, self.unique_key, self.on_conflict)

    def expect(self, life: Life, result: Enqueued, batch: str | None, new_ids: set[str]) -> None:
        """Apply the job to the model and compare the result. Add a new id to `new_ids`."""
        model = life.model
        known = model.jobs.get(self.given_id or "")
        if known is not None:
            check_enqueued(result, known.id, known.state.value, is_new=False)
            return
        fields: dict[str, Any] = {
            "priority": self.priority,
            "scheduled_at": None if self.delay is None else model.now + self.delay,
            "expire_after": self.expire_after,
            "max_retries": self.max_retries,
            "delay": self.backoff,
            "concurrency_key": self.concurrency_key,
            "payload": self.payload,
        }
        holder = model.holder(self.queue, self.unique_key)
        if holder is None:
            period = self.unique_period
            fields |= {"unique_key": self.unique_key, "unique_period": period, "batch": batch}
            job = model.add(result.job_id, self.queue, **fields)
            check_enqueued(result, self.given_id, job.state.value, is_new=True)
            new_ids.add(job.id)
            return
        on_conflict = "ignore" if holder in new_ids else self.on_conflict
        status = model.meet(model.jobs[holder], on_conflict, **fields)
        check_enqueued(result, holder, status, is_new=False)


@dataclass(frozen=True)
class Enqueue(Call):
    """An enqueue of one or more jobs."""

    jobs: tuple[NewJob, ...]
    has_batch: bool

    def aim(self, life: Life) -> None:
        if all(job.given_id for job in self.jobs):
            life.sent.append(self)

    async def make(self, life: Life, aim: Any) -> Any:
        jobs = [job.request(life.bench.clock.now) for job in self.jobs]
        callback = CALLBACKS if self.has_batch else None
        try:
            return await life.bench.enqueue_batch(*jobs, callback=callback)
        except CallError as error:
            return error.code

    def expect(self, life: Life, aim: Any, answer: Any) -> None:
        model = life.model
        is_refused = model.is_refused([job.wanted() for job in self.jobs])
        if is_refused is None:
            is_refused = answer == "INVALID_STATE"
        if is_refused:
            assert answer == "INVALID_STATE"
            return
        assert answer != "INVALID_STATE"
        results, batch_id = answer
        earlier = self._earlier_batches(life, results)
        new_ids: set[str] = set()
        for job, result in zip(self.jobs, results, strict=True):
            job.expect(life, result, batch_id, new_ids)
        assert (batch_id is not None) == self.has_batch
        if batch_id is None:
            return
        if not new_ids and any(earlier):
            assert batch_id in earlier
        else:
            model.add_batch(batch_id, len(new_ids))

    def _earlier_batches(self, life: Life, results: Sequence[Enqueued]) -> list[str | None]:
        """Return the batches of the jobs whose ids exist already."""
        jobs = life.model.jobs
        return [
            jobs[result.job_id].batch
            for job, result in zip(self.jobs, results, strict=True)
            if job.given_id in jobs
        ]


@dataclass(frozen=True)
class Again(Call):
    """A repeated enqueue, or one with the id of an existing or deleted job."""

    which: int
    queue: str
    payload: str | None

    def aim(self, life: Life) -> Enqueue:
        if self.which % 2 and life.sent:
            again: Enqueue = life.sent[self.which % len(life.sent)]
            return again
        given_id = life.any_job(self.which)
        job = NewJob(self.queue, given_id=given_id, payload=self.payload)
        return Enqueue((job,), has_batch=False)

    async def make(self, life: Life, aim: Enqueue) -> Any:
        return await aim.make(life, None)

    def expect(self, life: Life, aim: Enqueue, answer: Any) -> None:
        aim.expect(life, None, answer)


def seldom(values: list[int]) -> st.SearchStrategy[int | None]:
    """Return a strategy that is mostly None, and sometimes one of the values."""
    return st.sampled_from([*(None for _ in range(5 * len(values))), *values])


given_ids = st.integers(0, 10**12).map(lambda number: f"job_{number:026}")
new_jobs = st.builds(
    NewJob,
    queue=busy,
    priority=st.sampled_from([2, 2, 2, 1, 0]),
    delay=seldom([-1000, 0, 1, 5_000, 60_000]),
    expire_after=seldom([0, 10_000, 100_000]),
    max_retries=st.sampled_from([3, 3, 0, 1, 2]),
    backoff=st.sampled_from([0, 10_000, None]),
    unique_key=st.sampled_from([None, "k"]),
    unique_period=st.sampled_from([3_600_000, 3_600_000, 3_600_000, 1, 5_000]),
    on_conflict=st.sampled_from(["ignore", "replace", "reschedule", "error"]),
    concurrency_key=st.sampled_from(["x", "x", None, "y"]),
    given_id=st.none() | st.none() | given_ids,
    payload=st.sampled_from([None, None, "x", "ä" * 300]),
)
enqueues = st.builds(
    Enqueue, jobs=st.lists(new_jobs, min_size=1, max_size=5).map(tuple), has_batch=st.booleans()
)
repeatable = st.builds(
    Enqueue,
    jobs=st.lists(new_jobs.filter(lambda job: job.given_id), min_size=1, max_size=3).map(tuple),
    has_batch=st.just(True),
)
agains = st.builds(Again, which=some, queue=busy, payload=st.sampled_from([None, None, None, "x"]))
