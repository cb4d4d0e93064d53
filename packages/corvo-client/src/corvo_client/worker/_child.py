"""What runs in the processes of handlers: one job after the other, until the worker is gone."""

import contextlib
import importlib
import os
import pickle
import signal
import threading
import time
from dataclasses import dataclass
from functools import cache, partial, reduce
from multiprocessing import connection, parent_process
from typing import Any

from corvo_client.worker._api import HeldJob
from corvo_client.worker._context import STATE_IS_ELSEWHERE, Context, enter
from corvo_client.worker._leases import Lease
from corvo_client.worker._outcomes import Cancel, Retry, Snooze
from corvo_client.worker._payload import PayloadShape
from corvo_client.worker._task import Task
from corvo_client.worker._verdict import backtrace_of, storable
from corvo_schema.progress import Progress


@dataclass(frozen=True, slots=True)
class Request:
    """From the worker: run this job. `seconds_left` is until its lease ends."""

    module: str
    name: str
    job: HeldJob
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Note:
    """From the handler, while it runs. None for nothing new."""

    checkpoint: Any
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Returned:
    """What the handler returned, as plain JSON data."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """What the handler raised, and where."""

    error: BaseException
    backtrace: str


class RemoteError(Exception):
    """Stands for an error that cannot be carried from one process to another; says what it was."""


def serve(pipe: "connection.Connection[Note | Returned | Raised, Request]") -> None:
    """Run the jobs that come until the pipe is closed.

    The worker decides when to stop: a signal that was sent to the whole group is meant for it.
    """
    # Handlers, and not SIG_IGN: programs that are started from here must not inherit it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    lock = threading.Lock()
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        ended = _run(request, partial(_send, pipe, lock))
        # The worker may have stopped listening by now: nobody is interested then.
        with lock, contextlib.suppress(OSError):
            pipe.send(ended)


def _send(pipe: Any, lock: threading.Lock, lease: Lease) -> None:
    """Pass on what a handler noted. Its threads may do so, too."""
    with lock:
        pipe.send(Note(lease.unsent_checkpoint, lease.unsent_progress))
        lease.notes_were_sent(lease.unsent_checkpoint, lease.unsent_progress)


def _run(request: Request, send: Any) -> Returned | Raised:
    lease = Lease(request.job, time.monotonic(), lambda: send(lease))
    lease.ends_at = time.monotonic() + request.seconds_left
    context = Context(lease, STATE_IS_ELSEWHERE)
    enter(context)
    try:
        function, shape = _resolve(request.module, request.name)
        result = function(**shape.arguments(request.job.payload, context))
        return Returned(_plain(result))
    except BaseException as error:  # noqa: BLE001 - whatever a handler raises is its outcome
        return Raised(_portable(error), backtrace_of(error))


def _plain(result: Any) -> Any:
    # What steers takes the way of errors.
    if isinstance(result, Snooze | Cancel | Retry):
        raise result
    return storable(result)


@cache
def _resolve(module: str, name: str) -> tuple[Any, PayloadShape]:
    found: Any = reduce(getattr, name.split("."), importlib.import_module(module))
    if isinstance(found, Task):
        return found.function, found.shape
    return found, PayloadShape(found)


def _portable(error: BaseException) -> BaseException:
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - a class can break in any way
        copy = None
    if type(copy) is type(error):
        return error
    return RemoteError(f"{type(error).__name__}: {error}")


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
