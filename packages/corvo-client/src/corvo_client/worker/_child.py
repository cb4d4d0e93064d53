"""Main loop of a handler process: it runs one job after the other until the worker ends."""

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

from corvo_client.worker._api import LeasedJob, Redirection
from corvo_client.worker._context import STATE_IN_OTHER_PROCESS, Context, enter
from corvo_client.worker._leases import Lease
from corvo_client.worker._outcomes import Cancel, Retry, Snooze
from corvo_client.worker._payload import PayloadShape
from corvo_client.worker._task import Task
from corvo_client.worker._to_outcome import backtrace_of, storable
from corvo_schema.progress import Progress


@dataclass(frozen=True, slots=True)
class Request:
    """Request of the worker to run a job. `seconds_left` is the time until its lease ends.

    `redirection` is the server for the tasks of the worker, if it is not that of the code.
    """

    module: str
    name: str
    job: LeasedJob
    seconds_left: float
    redirection: Redirection | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Notes of a running handler. None means no change."""

    checkpoint: Any
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Returned:
    """Return value of the handler as plain JSON data."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """Error of the handler and its backtrace."""

    error: BaseException
    backtrace: str


class RemoteError(Exception):
    """Replaces an error that cannot be pickled. The message has its type and text."""


def serve(pipe: "connection.Connection[Note | Returned | Raised, Request]") -> None:
    """Run the jobs that arrive over the pipe until it is closed.

    Signals to the process group are ignored here, because the worker handles them.
    """
    # Not SIG_IGN: subprocesses of a handler would inherit it.
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
        # If the worker has closed the pipe, it does not need the outcome.
        with lock, contextlib.suppress(OSError):
            pipe.send(ended)


def _send(pipe: Any, lock: threading.Lock, lease: Lease) -> None:
    """Send the notes of a handler. Threads of the handler may call this, too."""
    with lock:
        pipe.send(Note(lease.unsent_checkpoint, lease.unsent_progress))
        lease.clear_sent_notes(lease.unsent_checkpoint, lease.unsent_progress)


def _run(request: Request, send: Any) -> Returned | Raised:
    lease = Lease(request.job, time.monotonic(), lambda: send(lease))
    lease.ends_at = time.monotonic() + request.seconds_left
    context = Context(lease, STATE_IN_OTHER_PROCESS)
    enter(context)
    try:
        function, shape, task = _resolve(request.module, request.name)
        if task is not None and request.redirection is not None:
            task.redirect(request.redirection)
        result = function(**shape.arguments(request.job.payload, context))
        return Returned(_json_result(result))
    except BaseException as error:  # noqa: BLE001 - any error is the outcome
        return Raised(_picklable(error), backtrace_of(error))


def _json_result(result: Any) -> Any:
    # A returned Snooze, Cancel or Retry has the same effect as a raised one.
    if isinstance(result, Snooze | Cancel | Retry):
        raise result
    return storable(result)


@cache
def _resolve(module: str, name: str) -> tuple[Any, PayloadShape, "Task[..., ..., Any] | None"]:
    found: Any = reduce(getattr, name.split("."), importlib.import_module(module))
    if isinstance(found, Task):
        return found.function, found.shape, found
    return found, PayloadShape(found), None


def _picklable(error: BaseException) -> BaseException:
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - pickling runs code of any class
        copy = None
    if type(copy) is type(error):
        return error
    return RemoteError(f"{type(error).__name__}: {error}")


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
