"""The tasks of a worker and the middleware around them."""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, overload

from pydantic import TypeAdapter, ValidationError

from corvo_client._options import DefaultOptions
from corvo_client.worker._context import Context
from corvo_client.worker._middleware import Middleware, Surroundings, check_middleware
from corvo_client.worker._runner import AnyTask
from corvo_client.worker._task import Executor, Producer, Task, check_defaults
from corvo_schema.fields import QueueName

_queue_name = TypeAdapter(QueueName)

P = ParamSpec("P")
R = TypeVar("R")


class _Decorator(Protocol):
    """Turns functions into tasks. A first parameter of type `Context` is not enqueued."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], R], /
    ) -> Task[Concatenate[Context, P], P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, P, R]: ...


class Registry:
    """Tasks by queue, and middleware. `queues` limits the process to some of the queues."""

    def __init__(self, producer: Producer, queues: Sequence[str] | None) -> None:
        self._producer = producer
        self._queues = queues
        self._tasks: dict[str, AnyTask] = {}
        self._surroundings = Surroundings()

    @property
    def tasks(self) -> MappingProxyType[str, AnyTask]:
        """Tasks by queue."""
        return MappingProxyType(self._tasks)

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """Middleware of all attempts, outermost first."""
        return tuple(self._surroundings.middleware)

    def task(
        self,
        queue: str,
        *,
        executor: Executor | None = None,
        **defaults: Unpack[DefaultOptions],
    ) -> _Decorator:
        """Run the decorated function, `def` or `async def`, for the jobs of `queue`.

        An `async def` runs in the event loop (`executor="async"`). A `def` runs in a thread
        (`"thread"`), or in a separate process (`"process"`) for CPU-bound work. That process is
        killed when its job is cancelled or lost. It imports the function by name, so the function
        must be at module level. It can report progress and checkpoints, but has no `Context.state`.

        `defaults` apply to all jobs of the task's `enqueue`. Raises ValueError if the queue has a
        task already or an option has an invalid value, TypeError if the function cannot take a
        payload or cannot run there, or an option is unknown.
        """
        _check_queue(queue)
        check_defaults(defaults)

        def decorate(function: Callable[..., Any]) -> Any:
            if isinstance(function, Task):  # one function for several queues
                function = function.function
            if queue in self._tasks:
                raise ValueError(f"queue {queue!r} has a task already: {self._tasks[queue]!r}")
            task: AnyTask = Task(function, queue, self._producer, defaults, executor)
            self._tasks[queue] = task
            return task

        return decorate

    def use(self, middleware: Middleware) -> Middleware:
        """Run `async def middleware(context, call_next)` around each attempt.

        Middleware that is added first is outermost. It runs in the event loop, for handlers of any
        kind. Its result or error becomes the outcome of the attempt; `return await call_next()`
        changes nothing. Returns `middleware`, so that `use` works as a decorator. Raises TypeError
        for what cannot be called in that way.
        """
        check_middleware(middleware)
        self._surroundings.middleware.append(middleware)
        return middleware

    def _served_tasks(self) -> dict[str, AnyTask]:
        queues = list(self._tasks) if self._queues is None else list(self._queues)
        unknown = [queue for queue in queues if queue not in self._tasks]
        if unknown or not queues:
            raise ValueError(
                f"there is no task for {', '.join(unknown) or 'any queue'}; "
                "decorate a function with @worker.task(queue)"
            )
        return {queue: self._tasks[queue] for queue in queues}


def _check_queue(queue: object) -> None:
    """Raise TypeError for what is not text, and ValueError for an invalid name of a queue."""
    if not isinstance(queue, str):
        raise TypeError(
            f'a task needs the name of its queue, not {queue!r}; write @worker.task("queue")'
        )
    try:
        _queue_name.validate_python(queue)
    except ValidationError as error:
        message = error.errors(include_url=False, include_context=False)[0]["msg"]
        reason = message.removeprefix("Value error, ")
        raise ValueError(f"{queue!r} is not the name of a queue: {reason}") from None
