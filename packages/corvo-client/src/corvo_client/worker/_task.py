"""Tasks: functions with the queue of their jobs."""

import asyncio
import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import (
    Any,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Unpack,
    get_args,
)

from corvo_client._calls.jobs import enqueue_request
from corvo_client._errors import ValidationFailed
from corvo_client._options import (
    DefaultOptions,
    EnqueueOptions,
    ScheduleOptions,
)
from corvo_client.worker._api import Override
from corvo_client.worker._awaiting import awaited
from corvo_client.worker._context import Context
from corvo_client.worker._payload import PayloadShape
from corvo_client.worker._scheduler import Scheduler, ScheduleSender
from corvo_client.worker._signature import as_function, is_async_function, looks_of, name_of
from corvo_schema.jobs import EnqueueReply, EnqueueRequest

C = ParamSpec("C")
P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


Executor = Literal["async", "thread", "process"]
"""Where a handler runs: the worker's event loop, a thread, or a separate process."""


class Producer(ScheduleSender, Protocol):
    """Enqueues payloads and stores schedules, from asyncio or from plain code."""

    override: Override | None

    def apply_override(self, override: Override) -> None:
        """Send the jobs to another server."""
        ...

    def enqueue(self, queue: str, payload: Any, options: EnqueueOptions) -> EnqueueReply:
        """Enqueue a job. Block until the server has answered."""
        ...

    async def aenqueue(self, queue: str, payload: Any, options: EnqueueOptions) -> EnqueueReply:
        """Enqueue a job from a coroutine."""
        ...


class Enqueuer(Generic[P]):
    """Enqueues jobs of one task with fixed options. `Task.options` creates it."""

    def __init__(
        self, producer: Producer, queue: str, shape: PayloadShape, options: EnqueueOptions
    ) -> None:
        self._producer = producer
        self._queue = queue
        self._shape = shape
        self._options = options

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> EnqueueReply:
        """Enqueue a job that calls the function with these arguments.

        Blocks until the server has answered. Raises `InvalidPayload`, before sending, for arguments
        that the worker would reject.
        """
        payload = self._shape.payload(args, kwargs)
        return self._producer.enqueue(self._queue, payload, self._options)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> EnqueueReply:
        """Do what `enqueue` does, from asyncio, without blocking the event loop."""
        payload = self._shape.payload(args, kwargs)
        return await self._producer.aenqueue(self._queue, payload, self._options)

    def request(self, /, *args: P.args, **kwargs: P.kwargs) -> EnqueueRequest:
        """Return the request of an enqueue with these arguments, for a batch or an outbox.

        Raises `InvalidPayload`, and `ValidationFailed` for invalid options.
        """
        return enqueue_request(self._queue, self._shape.payload(args, kwargs), self._options)


class Task(Generic[C, P, R_co]):
    """A function with its queue: `task(...)` calls it, `task.enqueue(...)` enqueues a job.

    The decorator `@worker.task(queue)` creates it. For `inspect`, `typing`, `asyncio` and `pickle`,
    a task looks like its function. Raises TypeError for a function that cannot be a handler.
    """

    def __init__(
        self,
        function: Callable[C, R_co],
        queue: str,
        producer: Producer,
        defaults: DefaultOptions,
        executor: Executor | None = None,
    ) -> None:
        function = as_function(function)
        # First, because it copies the attributes of the function, which can have any name.
        functools.update_wrapper(self, function)
        self.__dict__ |= looks_of(function)
        self.function = function
        self.queue = queue
        self.defaults = defaults
        self.is_async = is_async_function(function)
        if self.is_async:
            _mark_async(self)
        self.executor = _checked(executor, function, is_async=self.is_async)
        self.shape = PayloadShape(function)
        self._producer = producer

    def __repr__(self) -> str:
        return f"<Task {self.queue!r}: {self.function!r}>"

    def __call__(self, /, *args: C.args, **kwargs: C.kwargs) -> R_co:
        """Call the function directly."""
        return self.function(*args, **kwargs)

    def __reduce__(self) -> str:
        # Like a function: pickled by its name, and a deep copy is the task itself.
        return name_of(self.function)

    def __copy__(self) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__ |= self.__dict__
        return copy

    def options(self, **options: Unpack[EnqueueOptions]) -> Enqueuer[P]:
        """Return an `Enqueuer` with these options, which override the defaults of the task.

        Raises TypeError for an unknown option.
        """
        _check_names(options, EnqueueOptions.__annotations__, "an enqueue")
        merged = EnqueueOptions(**{**self.defaults, **options})
        return Enqueuer(self._producer, self.queue, self.shape, merged)

    def schedule(
        self, cron: str, *, name: str | None = None, **options: Unpack[ScheduleOptions]
    ) -> Scheduler[P]:
        """Return a `Scheduler` of this task: `task.schedule("0 3 * * *").put(...)`.

        `cron` has five fields, or is an alias such as `@daily`. The schedule is identified by
        `name`; the default is the name of the queue. So a second schedule of the same task needs a
        name. `options` override the defaults of the task. Raises TypeError for an unknown option.
        """
        _check_names(options, ScheduleOptions.__annotations__, "a schedule")
        merged = ScheduleOptions(**{**self.defaults, **options})
        return Scheduler(
            self._producer,
            self.queue,
            self.shape,
            name=self.queue if name is None else name,
            cron=cron,
            options=merged,
        )

    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> EnqueueReply:
        """Enqueue a job that calls the function with these arguments.

        Blocks until the server has answered. Raises `InvalidPayload`, before sending, for arguments
        that the worker would reject.
        """
        return self.options().enqueue(*args, **kwargs)

    async def aenqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> EnqueueReply:
        """Do what `enqueue` does, from asyncio, without blocking the event loop."""
        return await self.options().aenqueue(*args, **kwargs)

    def request(self, /, *args: P.args, **kwargs: P.kwargs) -> EnqueueRequest:
        """Return the request of an enqueue with these arguments, for a batch or an outbox."""
        return self.options().request(*args, **kwargs)

    @property
    def override(self) -> Override | None:
        """Server that overrides that of the code."""
        return getattr(self._producer, "override", None)  # not every producer has one

    def apply_override(self, override: Override) -> None:
        """Override the server of the code for this worker and its tasks, in a child process."""
        self._producer.apply_override(override)

    @property
    def address(self) -> tuple[str, str]:
        """Module and qualified name of the function, for another process."""
        return self.function.__module__, self.function.__qualname__

    def bound(self, payload: Any, context: Context) -> Callable[[], Any]:
        """Return the function bound to the arguments of a payload. Raises `InvalidJobPayload`.

        For `executor="async"`, the call returns an awaitable.
        """
        call = functools.partial(self.function, **self.shape.arguments(payload, context))
        return functools.partial(_call_and_await, call) if self.executor == "async" else call


async def _call_and_await(call: Callable[[], Any]) -> Any:
    return await awaited(call())


def check_defaults(defaults: Mapping[str, Any]) -> None:
    """Raise TypeError for an unknown option of a task, and ValueError for an invalid value."""
    known = DefaultOptions.__annotations__
    for name in defaults.keys() - known.keys():
        if name in EnqueueOptions.__annotations__:
            hint = f"it differs between jobs, so write task.options({name}=...).enqueue(...)"
            raise TypeError(f"{name!r} is not an option of a task; {hint}")
    _check_names(defaults, known, "a task")
    try:
        enqueue_request("options", {}, EnqueueOptions(**defaults))  # type: ignore[typeddict-item]
    except ValidationFailed as error:
        wrong = "; ".join(f"{detail.field}: {detail.message}" for detail in error.details)
        raise ValueError(f"invalid option of a task: {wrong or error}") from None


def _check_names(options: Mapping[str, Any], known: Mapping[str, Any], of: str) -> None:
    """Raise TypeError for an unknown option, with the nearest name."""
    for name in options.keys() - known.keys():
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(known)}"
        raise TypeError(f"{name!r} is not an option of {of}; {hint}")


def _mark_async(task: Task[..., ..., Any]) -> None:
    """Make `inspect.iscoroutinefunction` true for a task whose function has no code of its own."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(task)
    else:
        task.__dict__["_is_coroutine"] = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined] # noqa: SLF001


def _checked(
    executor: Executor | None, function: Callable[..., object], *, is_async: bool
) -> Executor:
    """Return where to run a function. Raises TypeError if it cannot run there."""
    if executor is None:
        return "async" if is_async else "thread"
    name = getattr(function, "__qualname__", "<nameless>")
    if executor not in get_args(Executor):
        raise TypeError(f"executor must be 'async', 'thread' or 'process', not {executor!r}")
    # A plain wrapper of an async function may run in either way: what it returns is awaited.
    may_be_async = is_async or is_async_function(inspect.unwrap(function))
    if (executor == "async" and not may_be_async) or (executor != "async" and is_async):
        kind = "an async function" if is_async else "a plain function"
        raise TypeError(f"{function!r} is {kind} and cannot run with executor={executor!r}")
    if executor == "process":
        owner = getattr(function, "__self__", None)
        if "<" in name or not (owner is None or isinstance(owner, type)):
            raise TypeError(
                f"{name} must be at module level, so that another process can import it"
            )
    return executor
