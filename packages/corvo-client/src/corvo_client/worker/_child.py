"""Main loop of a handler process: it runs one job after the other until the worker ends."""

import atexit
import contextlib
import importlib
import os
import pickle
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, reduce
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

from corvo_client.worker._api import LeasedJob, Override
from corvo_client.worker._awaiting import run_to_end
from corvo_client.worker._child_logs import Forwarder, Levels, LogRecord
from corvo_client.worker._context import STATE_IN_OTHER_PROCESS, Context, enter
from corvo_client.worker._description import describe
from corvo_client.worker._forks import end_copy
from corvo_client.worker._leases import Lease
from corvo_client.worker._outcomes import Cancel, Retry, Snooze
from corvo_client.worker._payload import PayloadShape
from corvo_client.worker._signals import set_own
from corvo_client.worker._task import Task
from corvo_client.worker._to_outcome import collected, storable
from corvo_schema.progress import Progress

try:
    import fcntl
except ImportError:  # Windows, which cannot fork
    fcntl = None  # type: ignore[assignment]

_PARENT_SECONDS = 1.0
"""Interval of the check that the worker is alive."""


@dataclass(frozen=True, slots=True)
class Request:
    """Request of the worker to run a job.

    `seconds_left` is the time until its lease ends. `levels` are those of the worker's loggers.
    `override` is the server for the tasks of the worker, if it is not that of the code.
    """

    module: str
    name: str
    job: LeasedJob
    seconds_left: float
    levels: Levels
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Notes of a running handler. None means no change."""

    job_id: str
    checkpoint: Any
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Returned:
    """Return value of the handler as plain JSON data."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """Error of the handler as a pickle (empty if it has none) and as text, and its backtrace."""

    pickled: bytes
    text: str
    backtrace: str

    def error(self) -> BaseException:
        """Return the error, or a `RemoteError` with its text if it cannot be read here."""
        try:
            error = pickle.loads(self.pickled)  # noqa: S301 - our own
            if isinstance(error, BaseException):
                return error
        except BaseException:  # noqa: BLE001, S110 - unpickling runs code of any class
            pass
        return RemoteError(self.text)


class RemoteError(Exception):
    """Replaces an error that cannot be pickled. The message has its type and text."""


Message = Note | LogRecord | Returned | Raised
"""The messages of a process to its worker. `Returned` or `Raised` is the last message of a job."""


def serve(pipe: "connection.Connection[Message, Request]") -> None:
    """Run the jobs that arrive over the pipe until it is closed.

    Signals to the process group are ignored here, because the worker handles them.
    """
    process = os.getpid()
    # Not SIG_IGN: subprocesses of a handler would inherit it.
    set_own(lambda *_: None)
    lead_group()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    sender = _Sender(pipe)
    forwarder = Forwarder(sender.send)
    forwarder.install()
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        ended = _run(request, sender, forwarder)
        # A copy of this process would send a second outcome, which the next job would get.
        end_copy(process, request.job.job_id)
        # If the worker has closed the pipe, it does not need the outcome.
        with contextlib.suppress(OSError):
            sender.send(ended)


class _Sender:
    """Sends messages to the worker, of any thread and of processes that handlers have forked."""

    def __init__(self, pipe: "connection.Connection[Message, Request]") -> None:
        self._pipe = pipe
        self._file = _lock_file()
        self._renew_lock()
        if hasattr(os, "register_at_fork"):
            # A thread may hold the lock while another one forks.
            os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send a message."""
        with self._alone():
            self._pipe.send(message)

    def send_notes(self, lease: Lease) -> None:
        """Send the notes of a handler."""
        with self._alone():
            note = Note(lease.job.job_id, lease.unsent_checkpoint, lease.unsent_progress)
            self._pipe.send(note)
            lease.clear_sent_notes(note.checkpoint, note.progress)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from writing to the pipe meanwhile: large messages would mix."""
        with self._lock:
            if os.name == "nt":
                yield
                return
            # Unlike other locks, this one ends with its process.
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _lock_file() -> int:
    """Return a file for locks, which lives as long as this process."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("corvo-handler")
    number, path = tempfile.mkstemp()
    with contextlib.suppress(OSError):  # on Windows, it is open
        Path(path).unlink()
    return number


def _run(request: Request, sender: _Sender, forwarder: Forwarder) -> Returned | Raised:
    job = request.job
    forwarder.set_levels(request.levels)
    forwarder.about = {"job_id": job.job_id, "queue": job.queue, "attempt": job.attempt}
    lease = Lease(job, time.monotonic(), lambda: sender.send_notes(lease))
    lease.ends_at = time.monotonic() + request.seconds_left
    context = Context(lease, STATE_IN_OTHER_PROCESS)
    enter(context)
    try:
        function, shape, task = _resolve(request.module, request.name)
        if task is not None and request.override is not None:
            task.apply_override(request.override)
        forwarder.install()
        result = run_to_end(function(**shape.arguments(request.job.payload, context)))
        return Returned(_json_result(result))
    except BaseException as error:  # noqa: BLE001 - any error is the outcome
        described = describe(error)
        return Raised(_pickled(error), described.text, described.backtrace)


def _json_result(result: Any) -> Any:
    result = collected(result)
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


def _pickled(error: BaseException) -> bytes:
    # Pickled once: the code of a class may fail, or do something else, at the second call.
    try:
        pickled = pickle.dumps(error)
        if type(pickle.loads(pickled)) is type(error):  # noqa: S301 - our own
            return pickled
    except BaseException:  # noqa: BLE001, S110 - pickling runs code of any class
        pass
    return b""


def lead_group() -> None:
    """Make this process and those that it starts a group, which ends with it.

    At an orderly end the others get SIGHUP, after the `atexit` functions of the handlers' modules.
    Windows has no groups.
    """
    if hasattr(os, "setsid"):
        # A session of its own, not only a group: a process in the background of a terminal would be
        # stopped when it reads from it.
        os.setsid()
        # A worker that runs under nohup ignores it, and so would all that this process starts.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        atexit.register(_hang_up)


def kill_group(leader: int) -> None:
    """Kill all processes of the group of `leader`. Do nothing if there are none."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def _hang_up() -> None:
    if os.getpid() == os.getpgrp():  # not in a process that a handler has forked
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.killpg(os.getpid(), signal.SIGHUP)


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is None:
        return
    # The sentinel alone does not tell: processes that the worker has forked hold it open, too.
    while not connection.wait([parent.sentinel], _PARENT_SECONDS) and os.getppid() == parent.pid:
        pass
    kill_group(os.getpid())
    os._exit(1)
