"""The parent: starts the writer and its front-ends, starts again what dies, ends all in order."""

import gc
import logging
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

from corvo_server.http_server import bind_group, url_of
from corvo_server.logs import fields, write_in_turn
from corvo_server.processes.child import READY, Lifeline
from corvo_server.processes.frontend import serve_front_end
from corvo_server.processes.writer import HOME_PREFIX, serve_writer
from corvo_server.settings import Settings

log = logging.getLogger(__name__)

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 5.0
_SOUND_AFTER = 10.0
"""Seconds before a process that died is started again: at first, at most; and forgiven after."""
_LONGER = 10.0
"""Seconds beyond the bound for requests after which a process that does not end is killed."""

Run = Callable[[Lifeline], None]


def serve_apart(settings: Settings) -> None:
    """Serve in several processes until SIGTERM or SIGINT, then stop in order.

    Comes back in every one of them, once it has done its part.
    """
    part = Family(settings).supervise()
    if part is not None:
        part()


def _make_home(data_dir: Path) -> Path:
    """A directory for sockets, which only this user may reach: their paths must be short."""
    try:
        return Path(tempfile.mkdtemp(prefix=HOME_PREFIX))
    except OSError:  # as in a container that may write nowhere but to its data
        data_dir.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=HOME_PREFIX, dir=data_dir))


class Child:
    """One place in the family, and the process that has it."""

    def __init__(self, name: str, run: Run) -> None:
        self.name = name
        self.run = run
        self.pid = 0
        self.is_ready = False
        self.starts_at = 0.0
        self._delay = _FIRST_DELAY
        self._started_at = 0.0
        self._told_at = 0.0
        self._stop = -1
        self.ready = -1

    @property
    def is_running(self) -> bool:
        """Whether it has a process."""
        return self.pid != 0

    def start(self, family: Sequence["Child"]) -> Lifeline | None:
        """Fork. None in the parent; in the child its end of the pipes."""
        stop, self._stop = os.pipe()
        self.ready, ready = os.pipe()
        self.is_ready = False
        self._started_at = time.monotonic()
        pid = os.fork()
        if pid == 0:
            for child in family:  # who kept another's pipe open would keep it from its end
                child.close()
            return Lifeline(stop, ready)
        self.pid = pid
        os.close(stop)
        os.close(ready)
        return None

    def tell_to_stop(self) -> None:
        """The end of its pipe is what it waits for."""
        if self._stop >= 0:
            os.close(self._stop)
            self._stop = -1
            self._told_at = time.monotonic()

    def kill_if_late(self, patience: float) -> None:
        """Kill it if it was told to stop more than `patience` seconds ago."""
        if self.is_running and self._stop < 0 and time.monotonic() > self._told_at + patience:
            log.error("%s (pid %d) does not end: it is killed", self.name, self.pid)
            os.kill(self.pid, signal.SIGKILL)

    def note_ready(self) -> None:
        """Its pipe has something to read: that it is ready, or that it has ended."""
        self.is_ready = os.read(self.ready, len(READY)) == READY
        os.close(self.ready)
        self.ready = -1

    def note_end(self) -> None:
        """Its process is gone."""
        self.close()
        self.pid = 0
        is_sound = time.monotonic() - self._started_at > _SOUND_AFTER
        self._delay = _FIRST_DELAY if is_sound else min(self._delay * 2, _LONGEST_DELAY)
        self.starts_at = time.monotonic() + self._delay

    def close(self) -> None:
        """Close the parent's ends of its pipes."""
        self.tell_to_stop()
        if self.ready >= 0:
            os.close(self.ready)
            self.ready = -1


class Family:
    """All processes of a server. Processes are forked, from one that has loaded everything."""

    def __init__(self, settings: Settings) -> None:
        """Raises `BindError`."""
        self._settings = settings
        self._listeners = bind_group(settings.bind, settings.http_workers)
        self._url = url_of(self._listeners[0])
        self._home = _make_home(settings.sqlite_dir)
        write_in_turn(self._home / "log.lock")
        self._writer = Child("the writer", self._as_writer)
        self._front_ends = [
            Child(f"front-end {i}", partial(self._as_front_end, listener))
            for i, listener in enumerate(self._listeners)
        ]
        self._all = (self._writer, *self._front_ends)
        self._is_serving = False
        self._is_stopping = False
        self._failed = False
        self._wake, self._woken = socket.socketpair()

    def supervise(self) -> Callable[[], None] | None:
        """Watch over the family until its end. In a child: what that is to do instead."""
        self._catch_signals()
        gc.freeze()  # what is shared stays shared: no collection writes to it
        while True:
            if self._is_stopping:
                self._stop_in_order()
                if not any(child.is_running for child in self._all):
                    break
            else:
                for child in self._all:
                    if not child.is_running and child.starts_at <= time.monotonic():
                        lifeline = child.start(self._all)
                        if lifeline is not None:
                            return self._become(child, lifeline)
                if not self._is_serving and all(child.is_ready for child in self._all):
                    self._is_serving = True
                    where = fields(url=self._url, pid=os.getpid())
                    log.info("listening on %s", self._url, extra=where)
            self._wait()
            self._reap()
        shutil.rmtree(self._home, ignore_errors=True)
        if self._failed:
            sys.exit(1)
        return None

    # In the parent

    def _catch_signals(self) -> None:
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._signalled)
        signal.signal(signal.SIGINT, self._signalled)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        if self._is_stopping:
            self._kill_all(number)
        self._is_stopping = True

    def _kill_all(self, number: int) -> NoReturn:
        for child in self._all:
            if child.is_running:
                os.kill(child.pid, signal.SIGKILL)
        shutil.rmtree(self._home, ignore_errors=True)
        os._exit(128 + number)

    def _wait(self) -> None:
        """Until a signal, a child's word, or the time to start one again."""
        pipes = {child.ready: child for child in self._all if child.ready >= 0}
        wake = self._wake.fileno()
        times = [child.starts_at for child in self._all if not child.is_running]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        if self._is_stopping:
            timeout = 1.0
        found, _, _ = select.select([wake, *pipes], [], [], timeout)
        for one in found:
            if one == wake:
                self._wake.recv(4096)
            else:
                pipes[one].note_ready()

    def _reap(self) -> None:
        for child in self._all:
            if not child.is_running:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid == 0:
                continue
            was_ready = child.is_ready
            child.note_end()
            if self._is_stopping:
                continue
            code = os.waitstatus_to_exitcode(status)
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            if not self._is_serving and not was_ready:
                # It has said why. What cannot even start once will not by trying again.
                self._failed = self._is_stopping = True
                continue
            log.error("%s (pid %d) ended %s: it is started again", child.name, pid, how)

    def _stop_in_order(self) -> None:
        """Front-ends first, for they still need the writer."""
        for listener in self._listeners:  # none is to listen on when its front-end has closed it
            listener.close()
        for child in self._front_ends:
            child.tell_to_stop()
        if not any(child.is_running for child in self._front_ends):
            self._writer.tell_to_stop()
        patience = self._settings.shutdown_timeout / 1000 + _LONGER
        for child in self._all:
            child.kill_if_late(patience)

    # In a child

    def _become(self, child: Child, lifeline: Lifeline) -> Callable[[], None]:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # A terminal and some service managers signal all processes at once; the parent sees to it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._wake.close()
        self._woken.close()
        write_in_turn(self._home / "log.lock")
        return lambda: child.run(lifeline)

    def _as_writer(self, lifeline: Lifeline) -> None:
        for listener in self._listeners:
            listener.close()
        serve_writer(self._settings, self._home, self._url, lifeline)

    def _as_front_end(self, own: socket.socket, lifeline: Lifeline) -> None:
        for listener in self._listeners:
            if listener is not own:
                listener.close()
        serve_front_end(self._settings, self._home, own, lifeline)
