"""Processes that a handler forks: each is a copy of its worker, which must not go on as one."""

import asyncio
import contextlib
import os
from weakref import WeakSet

from corvo_client.worker._log import log as _log

_loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def end_copies_of(loop: asyncio.AbstractEventLoop) -> None:
    """End each process that a handler in this loop forks, as soon as it returns to the loop.

    It would run the worker a second time, on the same connections.
    """
    _loops.add(loop)


def end_copy(process: int, job_id: str) -> None:
    """End this process if it is not `process`: a handler has forked it and returned in it.

    Otherwise the job would get two outcomes.
    """
    if os.getpid() != process:
        with contextlib.suppress(Exception):
            _log.warning(
                "the handler of job %s has forked a process and returned in it; that process is "
                "ended here. End it with os._exit before it returns",
                job_id,
            )
        os._exit(1)


def _end_loops() -> None:
    for loop in list(_loops):
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon(os._exit, 1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_end_loops)
