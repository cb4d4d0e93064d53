"""Processes for handlers that keep a CPU busy: Python's threads would take turns on one."""

import asyncio
import multiprocessing
import threading
import time
from functools import partial
from multiprocessing.context import SpawnContext
from typing import Any

from corvo_client.worker._child import Note, Raised, Request, Returned, serve
from corvo_client.worker._leases import Lease
from corvo_client.worker._task import Task
from corvo_client.worker._verdict import RemoteTraceback

_LOOK_AGAIN = 0.2


class HandlerDied(Exception):
    """The process of a handler ended under it: out of memory, a crash, somebody killed it."""


class Processes:
    """Up to `size` processes, each of which runs one job at a time; made when they are needed.

    They are started afresh (`spawn`), not forked: a fork of a process with threads may hang.
    """

    def __init__(self, size: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._free = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._is_closed = False

    def run(self, task: Task[..., ..., Any], lease: Lease) -> Any:
        """Run a job, and return or raise what its handler does; blocks.

        An interruption of the lease kills the process and raises `CancelledError`. Raises
        `HandlerDied` when the process ends otherwise.
        """
        while not self._free.acquire(timeout=_LOOK_AGAIN):
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
            raise ended.error from RemoteTraceback(ended.backtrace)
        return ended.value

    def close(self) -> None:
        """Let idle processes end, and kill busy ones. Nothing can be run any more."""
        with self._lock:
            self._is_closed = True
            for child in self._idle:
                child.close()
            self._idle.clear()
            for child in self._busy:
                child.kill()

    def _take(self) -> "_Child":
        with self._lock:
            if self._is_closed:
                raise asyncio.CancelledError("the worker has stopped")
            while self._idle:
                child = self._idle.pop()
                if child.is_fit:
                    break
                child.close()
            else:
                child = _Child(self._context)
            self._busy.add(child)
            return child

    def _give_back(self, child: "_Child") -> None:
        with self._lock:
            self._busy.discard(child)
            if child.is_fit and not self._is_closed:
                self._idle.append(child)
            else:
                child.close()


class _Child:
    """One process, and the pipe to it."""

    def __init__(self, context: SpawnContext) -> None:
        self._pipe, theirs = context.Pipe()
        # Not as a daemon: those must not have processes of their own.
        self._process = context.Process(target=serve, args=(theirs,), name="corvo-handler")
        self._process.start()
        theirs.close()
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._was_killed = False

    @property
    def is_fit(self) -> bool:
        """Whether it can run another job."""
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
            _raise_if_interrupted(lease)
            self._process.join()
            code = self._process.exitcode
            raise HandlerDied(f"the process of the handler ended with exit code {code}") from None
        finally:
            lease.kill = None
            with self._lock:
                self._lease = None

    def _wait_for_end(self, lease: Lease) -> Returned | Raised:
        while True:
            message: Note | Returned | Raised = self._pipe.recv()
            if not isinstance(message, Note):
                return message
            if message.checkpoint is not None:
                lease.note_checkpoint(message.checkpoint)
            if message.progress is not None:
                lease.note_progress(message.progress)

    def kill(self) -> None:
        """End it at once. Whoever uses it finds its pipe broken."""
        self._was_killed = True
        self._process.kill()

    def close(self) -> None:
        """Let it end by itself: that is what it does when its pipe is closed."""
        self._pipe.close()

    def _kill_for(self, lease: Lease) -> None:
        """Called by whoever interrupts the lease, in any thread; by then it may have another."""
        with self._lock:
            if self._lease is lease:
                self.kill()


def _request(task: Task[..., ..., Any], lease: Lease) -> Request:
    module, name = task.address
    return Request(module, name, lease.job, lease.ends_at - time.monotonic())


def _raise_if_interrupted(lease: Lease) -> None:
    if lease.interruption is not None:
        raise asyncio.CancelledError(lease.interruption.value)
