"""A function together with the queue that its jobs go to."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypedDict, TypeVar, Unpack

from corvo_client._calls.jobs import enqueue_request
from corvo_client._options import (
    AnyBackoff,
    AnyDuration,
    AnyPriority,
    AnySeconds,
    EnqueueOptions,
)
from corvo_client.worker._context import Context
from corvo_client.worker._payload import PayloadShape
from corvo_schema.jobs import EnqueueReply, EnqueueRequest

C = ParamSpec("C")
P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


Executor = Literal["async", "thread", "process"]
"""Where a handler runs: in the worker's event loop, in a thread, in a process of its own."""


class TaskDefaults(TypedDict, total=False):
    """What holds for each job of a task unless its enqueue says otherwise; see `EnqueueOptions`."""

    priority: AnyPriority
    max_retries: int
    retry_backoff: AnyBackoff
    retry_base_delay: AnyDuration
    retry_max_delay: AnyDuration
    unique_period: AnySeconds
    expire_after: AnyDuration
    tags: Mapping[str, str]


class Producer(Protocol):
    """Enqueues a payload, with the client that suits the caller."""

    async def enqueue(self, queue: str, payload: Any, options: EnqueueOptions) -> EnqueueReply:
        """Enqueue from a coroutine."""
        ...

    def enqueue_sync(self, queue: str, payload: Any, options: EnqueueOptions) -> EnqueueReply:
        """Enqueue from plain code; blocks until the server has answered."""
        ...


class Enqueuer(Generic[P]):
    """Enqueues jobs of one task with a set of options. Made by `Task.options`."""

    def __init__(
        self, producer: Producer, queue: str, shape: PayloadShape, options: EnqueueOptions
    ) -> None:
        self._producer = producer
        self._queue = queue
        self._shape = shape
        self._options = options

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> EnqueueReply:
        """Enqueue a job that calls the function with these arguments.

        Raises `InvalidPayload` for arguments that the worker would refuse, without asking it.
        """
        payload = self._shape.payload(args, kwargs)
        return await self._producer.enqueue(self._queue, payload, self._options)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> EnqueueReply:
        """Do the same from plain code; blocks until the server has answered."""
        payload = self._shape.payload(args, kwargs)
        return self._producer.enqueue_sync(self._queue, payload, self._options)

    def request(self, *args: P.args, **kwargs: P.kwargs) -> EnqueueRequest:
        """Return what an enqueue with these arguments would send: for a batch, or an outbox.

        Raises `InvalidPayload`, and `ValidationFailed` for options that make no sense.
        """
        return enqueue_request(self._queue, self._shape.payload(args, kwargs), self._options)


class Task(Generic[C, P, R_co]):
    """What `@worker.task(queue)` makes of a function: callable as before, and to be enqueued."""

    def __init__(
        self,
        function: Callable[C, R_co],
        queue: str,
        producer: Producer,
        defaults: TaskDefaults,
        executor: Executor | None = None,
    ) -> None:
        self.function = function
        self.queue = queue
        self.defaults = defaults
        self.is_async = inspect.iscoroutinefunction(function)
        self.executor = _checked(executor, function, is_async=self.is_async)
        self.shape = PayloadShape(function)
        self._producer = producer
        functools.update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"<Task {self.queue!r}: {self.function!r}>"

    def __call__(self, *args: C.args, **kwargs: C.kwargs) -> R_co:
        """Call the function here and now, as if it had no decorator."""
        return self.function(*args, **kwargs)

    def options(self, **options: Unpack[EnqueueOptions]) -> Enqueuer[P]:
        """Return something whose `enqueue` applies these options on top of the task's own."""
        merged = EnqueueOptions(**{**self.defaults, **options})
        return Enqueuer(self._producer, self.queue, self.shape, merged)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> EnqueueReply:
        """Enqueue a job that calls the function with these arguments.

        Raises `InvalidPayload` for arguments that the worker would refuse, without asking it.
        """
        return await self.options().enqueue(*args, **kwargs)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> EnqueueReply:
        """Do the same from plain code; blocks until the server has answered."""
        return self.options().enqueue_sync(*args, **kwargs)

    def request(self, *args: P.args, **kwargs: P.kwargs) -> EnqueueRequest:
        """Return what an enqueue with these arguments would send: for a batch, or an outbox."""
        return self.options().request(*args, **kwargs)

    @property
    def address(self) -> tuple[str, str]:
        """The module and the name by which another process finds the function."""
        return self.function.__module__, self.function.__qualname__

    def bound(self, payload: Any, context: Context) -> Callable[[], Any]:
        """Return the call that a job with this payload asks for. Raises `UnfitJob`."""
        return functools.partial(self.function, **self.shape.arguments(payload, context))


def _checked(
    executor: Executor | None, function: Callable[..., object], *, is_async: bool
) -> Executor:
    """Return where to run a function. Raises TypeError where that is impossible."""
    if executor is None:
        return "async" if is_async else "thread"
    if is_async is not (executor == "async"):
        kind = "an async function" if is_async else "a plain function"
        raise TypeError(f"{function!r} is {kind}: it cannot run with executor={executor!r}")
    name = getattr(function, "__qualname__", "<nameless>")
    if executor == "process" and "<" in name:
        raise TypeError(f"{name} must be at the top of a module, for another process to find it")
    return executor
