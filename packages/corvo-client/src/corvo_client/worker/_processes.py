"""Processes for CPU-bound handlers, because only one Python thread runs at a time."""

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing.context import SpawnContext
from typing import Any

from corvo_client.worker._child import (
    Message,
    Note,
    Raised,
    Request,
    Returned,
    kill_group,
    serve,
)
from corvo_client.worker._child_logs import LogRecord, current_levels, handle
from corvo_client.worker._description import RemoteTraceback
from corvo_client.worker._leases import Lease
from corvo_client.worker._log import log as _log
from corvo_client.worker._task import Task

_POLL_SECONDS = 0.2
_END_SECONDS = 3.0
"""Maximum time for the end of an idle process, in seconds."""


class HandlerDied(Exception):
    """The process of a handler ended unexpectedly: a crash, out of memory, or a kill signal."""


class _Unreadable(Exception):
    """The messages of a process are garbled: handlers can write to any pipe."""


class Processes:
    """A pool of up to `size` processes, started on demand. Each one runs one job at a time.

    Processes are spawned, not forked, because a fork of a process with threads can deadlock.
    """

    def __init__(self, size: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._free = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._is_closed = False

    def run(self, task: Task[..., ..., Any], lease: Lease) -> Any:
        """Run a job in a process. Block until it ends. Return its result or raise its error.

        If the lease is interrupted, the process is killed and `CancelledError` is raised. Raises
        `HandlerDied` if the process ends for another reason.
        """
        while not self._free.acquire(timeout=_POLL_SECONDS):
            _raise_if_interrupted(lease)
        try:
            child = self._take()
            try:
                ended = child.run(_request(task, lease), lease)
            finally:
                self._give_back(child)
        finally:
            self._free.release()
        if isinstance(ended, Raised):
            raise ended.error() from RemoteTraceback(ended.backtrace)
        return ended.value

    def close(self) -> None:
        """Stop idle processes and kill busy ones. `run` raises CancelledError afterwards."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            for child in idle:
                child.close()
            for child in self._busy:
                child.kill()
        if idle:
            # Python waits for child processes at its end, and they wait for their threads.
            threading.Thread(target=_end_all, args=(idle,), daemon=True).start()

    def _take(self) -> "_Child":
        with self._lock:
            if self._is_closed:
                raise asyncio.CancelledError("the worker has stopped")
            while self._idle:
                child = self._idle.pop()
                if child.is_usable:
                    break
                child.close()
            else:
                child = _Child(self._context)
            self._busy.add(child)
            return child

    def _give_back(self, child: "_Child") -> None:
        with self._lock:
            self._busy.discard(child)
            if child.is_usable and not self._is_closed:
                self._idle.append(child)
            else:
                child.close()


class _Child:
    """One process and the pipe to it."""

    def __init__(self, context: SpawnContext) -> None:
        self._pipe, child_pipe = context.Pipe()
        # Not a daemon: daemon processes cannot have child processes.
        self._process = context.Process(target=serve, args=(child_pipe,), name="corvo-handler")
        self._process.start()
        child_pipe.close()
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._was_killed = False

    @property
    def is_usable(self) -> bool:
        """True if the process can run another job."""
        return self._process.is_alive() and not self._was_killed

    def run(self, request: Request, lease: Lease) -> Returned | Raised:
        with self._lock:
            self._lease = lease
        lease.kill = partial(self._kill_for, lease)
        try:
            _raise_if_interrupted(lease)
            self._pipe.send(request)
            return self._wait_for_end(lease)
        except (EOFError, OSError):
            self._end()
            _raise_if_interrupted(lease)
            code = self._process.exitcode
            raise HandlerDied(f"the process of the handler ended with exit code {code}") from None
        except _Unreadable as error:
            self._end()
            raise HandlerDied(f"the process of the handler was ended: {error}") from error
        finally:
            lease.kill = None
            with self._lock:
                self._lease = None

    def _wait_for_end(self, lease: Lease) -> Returned | Raised:
        while True:
            message = self._receive()
            if isinstance(message, LogRecord):
                handle(message)
                continue
            if not isinstance(message, Note):
                return message
            if message.job_id != lease.job.job_id:
                continue  # from a thread or a process that an earlier handler has left behind
            if message.checkpoint is not None:
                lease.note_checkpoint(message.checkpoint)
            if message.progress is not None:
                lease.note_progress(message.progress)

    def _receive(self) -> Message:
        """Return the next message. Raises EOFError if the process has ended."""
        # The pipe alone does not tell: processes that the handler has forked hold it open, too.
        while not self._pipe.poll(_POLL_SECONDS):
            if not self._process.is_alive() and not self._pipe.poll():
                raise EOFError
        try:
            message = self._pipe.recv()
        except (EOFError, OSError):
            raise
        except Exception as error:
            raise _Unreadable("its last message cannot be read") from error
        if not isinstance(message, Message):
            raise _Unreadable("its last message is of no known kind")
        return message

    def _end(self) -> None:
        """Wait for the end of the process, and end the processes that it has started."""
        self._process.join(_POLL_SECONDS)
        self.kill()
        self._process.join()

    def kill(self) -> None:
        """Kill the process and those that it has started. A thread in `run` gets an EOFError."""
        self._was_killed = True
        self._process.kill()
        if self._process.pid is not None:
            kill_group(self._process.pid)

    def close(self) -> None:
        """Close the pipe, which makes the process exit."""
        self._pipe.close()
        if not self._process.is_alive():
            self.kill()

    def end_by(self, deadline: float) -> None:
        """Wait until a time of the monotonic clock for the end of a closed process. Then kill."""
        self._process.join(max(0.0, deadline - time.monotonic()))
        if self._process.is_alive():
            _log.warning(
                "killing a process of handlers, which has not ended within %g s; a handler has "
                "left a thread behind, or an atexit function is slow",
                _END_SECONDS,
            )
        self.kill()

    def _kill_for(self, lease: Lease) -> None:
        """Kill the process if it still runs the job of `lease`. Any thread may call this."""
        with self._lock:
            if self._lease is lease:
                self.kill()


def _end_all(children: "Sequence[_Child]") -> None:
    deadline = time.monotonic() + _END_SECONDS
    for child in children:
        child.end_by(deadline)


def _request(task: Task[..., ..., Any], lease: Lease) -> Request:
    module, name = task.address
    seconds_left = lease.ends_at - time.monotonic()
    return Request(module, name, lease.job, seconds_left, current_levels(), task.override)


def _raise_if_interrupted(lease: Lease) -> None:
    if lease.interruption is not None:
        raise asyncio.CancelledError(lease.interruption.value)
