import re
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import core_schema

from corvo_client._errors import CorvoError
from corvo_client._options import EnqueueOptions
from corvo_client.worker._context import Context
from corvo_client.worker._payload import InvalidPayload, PayloadShape
from corvo_client.worker._task import Task
from corvo_schema.jobs import EnqueueReply
from corvo_schema.schedules import Schedule, ScheduleRequest
from corvo_schema.states import Priority

Sent = tuple[str, Any, EnqueueOptions]


class Email(BaseModel):
    to: str
    subject: str = "hello"


class FakeProducer:
    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.schedules: list[ScheduleRequest] = []
        self.warnings: list[str] = []

    async def aput_schedule(self, request: ScheduleRequest) -> Schedule:
        return self.put_schedule(request)

    def put_schedule(self, request: ScheduleRequest) -> Schedule:
        self.schedules.append(request)
        return Schedule(
            id="sched_1",
            name=request.name,
            queue=request.queue,
            cron=request.cron,
            warnings=self.warnings,
        )

    async def aenqueue(self, queue: str, payload: Any, options: EnqueueOptions) -> EnqueueReply:
        return self.enqueue(queue, payload, options)

    def enqueue(self, queue: str, payload: Any, options: EnqueueOptions) -> EnqueueReply:
        self.sent.append((queue, payload, options))
        return EnqueueReply(job_id="job_1", status="pending")


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


async def send(context: Context, email: Email) -> str:
    """Send an email."""
    return f"{context.id} {email.to}"


def add(a: int, b: int = 1) -> int:
    return a + b


def test_the_function_stays_callable_and_keeps_its_name(producer: FakeProducer) -> None:
    task: Task[..., ..., int] = Task(add, "sums", producer, {})
    assert task(2, b=3) == 5
    assert task.__name__ == "add"  # type: ignore[attr-defined]
    assert task.__wrapped__ is add  # type: ignore[attr-defined]
    assert repr(task).startswith("<Task 'sums': <function add")
    assert not task.is_async
    assert producer.sent == []


async def test_enqueue_has_the_parameters_of_the_function(producer: FakeProducer) -> None:
    task: Task[..., ..., int] = Task(add, "sums", producer, {})
    assert (await task.aenqueue(2, b=3)).job_id == "job_1"
    assert task.enqueue(4).status == "pending"
    assert producer.sent == [("sums", {"a": 2, "b": 3}, {}), ("sums", {"a": 4}, {})]


async def test_enqueue_omits_the_context(producer: FakeProducer) -> None:
    task: Task[..., ..., Any] = Task(send, "emails", producer, {})
    assert task.is_async
    await task.aenqueue(Email(to="a@b.c"))
    await task.aenqueue(email=Email(to="a@b.c", subject="x"))
    assert [payload for _, payload, _ in producer.sent] == [
        {"to": "a@b.c", "subject": "hello"},
        {"to": "a@b.c", "subject": "x"},
    ]


async def test_an_invalid_enqueue_is_rejected_before_sending(producer: FakeProducer) -> None:
    task: Task[..., ..., Any] = Task(add, "sums", producer, {})
    with pytest.raises(InvalidPayload, match="a: Input should be a valid integer") as caught:
        await task.aenqueue("x")
    assert isinstance(caught.value, CorvoError)
    with pytest.raises(TypeError, match="too many positional arguments"):
        task.enqueue(1, 2, 3)
    assert producer.sent == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [("priorty", "did you mean 'priority'?"), ("countdown", "the options are priority, ")],
)
def test_an_unknown_option_is_refused_before_the_enqueue(
    producer: FakeProducer, name: str, hint: str
) -> None:
    task = Task(add, "sums", producer, {})
    with pytest.raises(
        TypeError, match=f"^'{name}' is not an option of an enqueue; {re.escape(hint)}"
    ):
        task.options(**{name: 1})  # type: ignore[misc]
    with pytest.raises(TypeError, match=f"^'{name}' is not an option of a schedule; "):
        task.schedule("@daily", **{name: 1})  # type: ignore[misc]


def test_an_option_among_the_arguments_is_refused_with_the_way_to_give_it(
    producer: FakeProducer,
) -> None:
    task: Task[..., ..., Any] = Task(add, "sums", producer, {})
    with pytest.raises(TypeError, match=r"^add: .*; 'delay' .*: write task.options\(delay=...\)"):
        task.enqueue(1, delay=5)
    with pytest.raises(TypeError, match=r"^add: got an unexpected keyword argument 'c'$"):
        task.enqueue(1, c=5)
    assert producer.sent == []


async def test_options_override_the_defaults_of_the_task(producer: FakeProducer) -> None:
    task: Task[..., ..., Any] = Task(add, "sums", producer, {"max_retries": 5, "tags": {"a": "b"}})
    urgent = task.options(priority="high", delay=5, max_retries=1)
    await urgent.aenqueue(1)
    urgent.enqueue(2)
    await task.aenqueue(3)
    options = {"max_retries": 1, "tags": {"a": "b"}, "priority": "high", "delay": 5}
    assert producer.sent == [
        ("sums", {"a": 1}, options),
        ("sums", {"a": 2}, options),
        ("sums", {"a": 3}, {"max_retries": 5, "tags": {"a": "b"}}),
    ]


async def test_schedule_has_the_parameters_and_the_options_of_the_task(
    producer: FakeProducer,
) -> None:
    task: Task[..., ..., int] = Task(add, "sums", producer, {"max_retries": 5, "priority": "high"})
    stored = task.schedule("0 3 * * *", timezone="Europe/Berlin", max_retries=2).put(2, b=3)
    assert (stored.name, stored.queue) == ("sums", "sums")
    named = task.schedule(
        "@daily", name="nightly", concurrency_key="acme", expire_after="1h", retry_backoff="fixed"
    )
    assert (await named.aput(4)).name == "nightly"
    first, second = producer.schedules
    assert (first.cron, first.timezone, first.payload) == (
        "0 3 * * *",
        "Europe/Berlin",
        {"a": 2, "b": 3},
    )
    assert (first.max_retries, first.priority) == (2, Priority.HIGH)
    assert (second.payload, second.max_retries, second.concurrency_key) == ({"a": 4}, 5, "acme")
    assert (second.expire_after, second.retry_backoff) == (3_600_000, "fixed")
    assert second.unique_period is None
    assert producer.sent == []


def test_schedule_refuses_arguments_that_the_worker_would_reject(producer: FakeProducer) -> None:
    task: Task[..., ..., int] = Task(add, "sums", producer, {})
    with pytest.raises(InvalidPayload, match="a: "):
        task.schedule("@daily").put("x")
    with pytest.raises(TypeError, match="did you mean 'concurrency_key'"):
        task.schedule("@daily", concurrency="x")  # type: ignore[call-arg]
    assert producer.schedules == []


def test_warnings_about_a_schedule_are_logged(
    producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    producer.warnings = ["There is no queue 'sums'."]
    task: Task[..., ..., int] = Task(add, "sums", producer, {})
    task.schedule("@daily").put(1)
    assert "schedule sums: There is no queue 'sums'." in caplog.text


def test_types_without_a_json_schema_have_none() -> None:
    class Odd:
        @classmethod
        def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
            return core_schema.no_info_plain_validator_function(lambda value: value)

    def handle(odd: Odd) -> None: ...

    assert PayloadShape(handle).json_schema() is None


def test_a_task_takes_keywords_of_any_name(producer: FakeProducer) -> None:
    def anything(**rest: int) -> None: ...

    names = {"self": 1, "args": 2, "kwargs": 3}
    task: Any = Task(anything, "q", producer, {})
    assert task.request(**names).payload == names
    assert task.schedule("@daily").request(**names).payload == names
    task.enqueue(**names)
    task.options(priority="high").enqueue(**names)
    assert [payload for _, payload, _ in producer.sent] == [names, names]
