"""Random calls of operators on single jobs, queues and schedules. Each is one write."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from corvo_schema import ErrorCode, ScheduleRequest
from corvo_schema.states import Priority
from corvo_server.engine.errors import CallError
from server_support.history.life import Call, Life, busy, some

MINUTE = 60_000
WINDOW = 5_000


@dataclass(frozen=True)
class Steer(Call):
    """An action on one job."""

    verb: str
    which: int
    more: tuple[Any, ...] = ()
    """Arguments of the action, e.g. the new queue or priority."""

    rank = 1

    def aim(self, life: Life) -> str:
        is_retry = self.verb in {"retry", "requeue"}
        jobs = life.model.jobs.values()
        return life.any_job(self.which, [job for job in jobs if job.state.is_finished == is_retry])

    async def make(self, life: Life, aim: str) -> ErrorCode | None:
        try:
            await getattr(life.bench.engine.jobs, self.verb)(aim, *self.more)
        except CallError as error:
            return error.code
        return None

    def expect(self, life: Life, aim: str, answer: ErrorCode | None) -> None:
        expected = life.model.action(self.verb, *self.more)(aim)
        assert answer == (expected if isinstance(expected, ErrorCode) else None)


@dataclass(frozen=True)
class Configure(Call):
    """A change of a setting of a queue."""

    verb: str
    queue: str
    more: tuple[int | None, ...] = ()

    rank = 2

    async def make(self, life: Life, aim: Any) -> None:
        await getattr(life.bench.engine.queues, self.verb)(self.queue, *self.more)

    def expect(self, life: Life, aim: Any, answer: None) -> None:
        life.model.configure(self.verb, self.queue, *self.more)


@dataclass(frozen=True)
class PutSchedule(Call):
    """The creation or change of a schedule."""

    name: str
    queue: str
    minutes: int
    misfire: str
    unique_key: str | None

    rank = 3

    async def make(self, life: Life, aim: Any) -> Any:
        request = {
            "name": self.name,
            "queue": self.queue,
            "cron": f"*/{self.minutes} * * * *",
            "misfire": self.misfire,
            "unique_key": self.unique_key,
        }
        schedules = life.bench.engine.schedules
        return await schedules.put(ScheduleRequest.model_validate(request), None)

    def expect(self, life: Life, aim: Any, answer: Any) -> None:
        record, is_new = answer
        assert is_new == (self.name not in life.model.schedules)
        life.model.put_schedule(
            self.name,
            record.id,
            queue=self.queue,
            every=self.minutes * MINUTE,
            is_skipping=self.misfire == "skip",
            unique_key=self.unique_key,
        )


@dataclass(frozen=True)
class SteerSchedule(Call):
    """An action on a schedule."""

    verb: str
    name: str

    rank = 3

    async def make(self, life: Life, aim: Any) -> Any:
        try:
            return await getattr(life.bench.engine.schedules, self.verb)(self.name)
        except CallError as error:
            return error.code

    def expect(self, life: Life, aim: Any, answer: Any) -> None:
        model = life.model
        match self.verb:
            case "run":
                job_id = getattr(answer, "job_id", None)
                assert getattr(answer, "status", answer) == model.run_schedule(self.name, job_id)
            case "delete":
                assert answer == model.delete_schedule(self.name)
            case _:
                is_paused = self.verb == "pause"
                assert answer == model.pause_schedule(self.name, is_paused=is_paused)


def tuple_of(value: Any) -> tuple[Any, ...]:
    return (value,)


actions = st.one_of(
    *(st.just((verb, ())) for verb in ("cancel", "retry", "requeue", "delete")),
    st.tuples(st.just("move"), st.sampled_from(["a", "b", "c"]).map(tuple_of)),
    st.tuples(st.just("change_priority"), st.sampled_from([*Priority]).map(tuple_of)),
)
"""Strategy for actions on a job, with their arguments."""
steers = st.builds(lambda action, which: Steer(action[0], which, action[1]), actions, some)
pauses = st.sampled_from([("pause", ()), ("drain", ()), *[("resume", ())] * 4])
limits = st.one_of(
    st.sampled_from([("limit_keys", (limit,)) for limit in (1, 1, 2, None)]),
    st.sampled_from([("limit", (limit,)) for limit in (1, 2, 3, None)]),
    st.sampled_from([("throttle", rate) for rate in ((1, WINDOW), (2, WINDOW), (None, None))]),
)
limitations = st.builds(lambda limit, queue: Configure(limit[0], queue, limit[1]), limits, busy)
configurations = limitations | st.builds(
    lambda pause, queue: Configure(pause[0], queue, pause[1]), pauses, busy
)
of_schedules = {"x": "a", "y": "b"}
"""Names of schedules with their queues, which differ so that the order of their jobs is free."""


def _put(name: str, minutes: int, misfire: str, unique_key: str | None) -> PutSchedule:
    return PutSchedule(name, of_schedules[name], minutes, misfire, unique_key)


schedule_calls = st.one_of(
    st.builds(
        _put,
        st.sampled_from(sorted(of_schedules)),
        st.sampled_from([1, 5]),
        st.sampled_from(["run_once", "skip"]),
        st.sampled_from([None, "k"]),
    ),
    st.builds(
        SteerSchedule,
        st.sampled_from(["run", "pause", "resume", "delete"]),
        st.sampled_from(sorted(of_schedules)),
    ),
)
