"""Random calls of operators on many jobs. They read before they write, so each runs alone."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from corvo_schema import BulkRequest, ErrorCode
from corvo_schema.states import JobState, Priority
from corvo_server.engine.bulk import BulkDone
from corvo_server.engine.errors import CallError
from corvo_server.store.bulk import BulkRecord
from server_support.history.life import Call, Life, busy, some
from server_support.history.steering import actions
from server_support.model.parts import Job

AT_ONCE = 3
"""Number of jobs up to which calls on many jobs are one transaction in the histories."""


@dataclass(frozen=True)
class Filter:
    """A filter of jobs."""

    queue: str | None
    states: frozenset[JobState]
    priority: int | None
    has_errors: bool | None

    def request(self) -> dict[str, Any]:
        """Return the filter as part of a request."""
        return {
            "queue": self.queue,
            "state": [state.value for state in self.states],
            "priority": self.priority,
            "has_errors": self.has_errors,
        }

    def __call__(self, job: Job) -> bool:
        return (
            self.queue in (None, job.queue)
            and (not self.states or job.state in self.states)
            and self.priority in (None, job.place[0])
            and self.has_errors in (None, job.failures > 0)
        )


@dataclass(frozen=True)
class Bulk(Call):
    """A bulk operation, at once or in the background."""

    action: tuple[str, tuple[Any, ...]]
    target: Filter | tuple[int, ...]
    """A filter, or indexes of jobs."""
    is_async: bool

    def aim(self, life: Life) -> list[str] | None:
        if isinstance(self.target, Filter):
            return None
        return [life.any_job(which) for which in self.target]

    async def make(self, life: Life, aim: list[str] | None) -> Any:
        verb, more = self.action
        request: dict[str, Any] = {"action": verb, "async": self.is_async}
        if isinstance(self.target, Filter):
            request["filter"] = self.target.request()
        else:
            request["job_ids"] = aim
        if verb == "move":
            (request["move_to_queue"],) = more
        elif verb == "change_priority":
            (request["priority"],) = more
        return await life.bench.engine.bulk.run(BulkRequest.model_validate(request))

    def expect(self, life: Life, aim: list[str] | None, answer: Any) -> None:
        model = life.model
        act = model.action(self.action[0], *self.action[1], is_bulk=True)
        is_meant = self.target if isinstance(self.target, Filter) else lambda _: False
        job_ids = [job.id for job in model.matching(is_meant)] if aim is None else aim
        is_at_once = not self.is_async and len(job_ids) <= AT_ONCE
        assert isinstance(answer, BulkDone) is is_at_once
        if not is_at_once:
            model.begin_bulk(answer.id, act, aim, is_meant)
            return
        _, changed, refused = model.act_on(act, job_ids)
        assert (answer.affected, answer.errors) == (changed, refused)


@dataclass(frozen=True)
class CancelBulk(Call):
    """The cancellation of a bulk operation."""

    which: int

    def aim(self, life: Life) -> str:
        known = list(life.model.bulks)
        return known[self.which % len(known)] if known else "bulk_unknown"

    async def make(self, life: Life, aim: str) -> ErrorCode | None:
        try:
            await life.bench.engine.bulk.cancel(aim)
        except CallError as error:
            return error.code
        return None

    def expect(self, life: Life, aim: str, answer: ErrorCode | None) -> None:
        assert answer == life.model.cancel_bulk(aim)


@dataclass(frozen=True)
class Empty(Call):
    """The clearing or deletion of a queue."""

    verb: str
    queue: str

    async def make(self, life: Life, aim: Any) -> int | BulkRecord | ErrorCode:
        queues = life.bench.engine.queues
        try:
            if self.verb == "clear":
                return await queues.clear(self.queue)
            return await queues.delete(self.queue)
        except CallError as error:
            return error.code

    def expect(self, life: Life, aim: Any, answer: int | BulkRecord | ErrorCode) -> None:
        model = life.model
        expected = model.count_emptied(self.verb, self.queue)
        if isinstance(expected, int) and expected > AT_ONCE:
            assert isinstance(answer, BulkRecord)
            model.begin_emptying(answer.id, self.verb, self.queue)
            return
        assert answer == expected
        if isinstance(expected, int):
            model.empty(self.verb, self.queue)


filters = st.builds(
    Filter,
    queue=st.none() | busy,
    states=st.frozensets(st.sampled_from([*JobState]), max_size=3),
    priority=st.sampled_from([None, None, None, None, *Priority]),
    has_errors=st.sampled_from([None, None, None, None, True, False]),
)
bulks = st.builds(
    Bulk,
    action=actions,
    target=filters | st.lists(some, min_size=1, max_size=5).map(tuple),
    is_async=st.booleans(),
)
cancels_of_bulks = st.builds(CancelBulk, some)
emptyings = st.builds(Empty, st.sampled_from(["clear", "clear", "delete"]), busy)
