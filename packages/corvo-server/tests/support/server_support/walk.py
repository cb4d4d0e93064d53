"""The source files that a request passes through a running server."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import corvo_schema
import corvo_server

_ROOTS = {
    str(Path(package.__file__ or "").parent): package.__name__
    for package in (corvo_schema, corvo_server)
}


class Walk:
    """Records the files of our packages whose functions are called, in all threads."""

    def __init__(self) -> None:
        self.files: list[str] = []
        """Like `corvo_server/http/jobs.py`, in the order of their first call."""
        self._is_recording = False

    @contextmanager
    def recording(self) -> Iterator[list[str]]:
        """Record from an empty list on."""
        self.files = []
        self._is_recording = True
        try:
            yield self.files
        finally:
            self._is_recording = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take down a call: the profile function of each thread."""
        if event != "call" or not self._is_recording:
            return
        path = frame.f_code.co_filename
        for root, package in _ROOTS.items():
            if path.startswith(root):
                name = package + path.removeprefix(root).replace("\\", "/")
                if name not in self.files:
                    self.files.append(name)


@contextmanager
def walking() -> Iterator[Walk]:
    """Profile this thread, and each thread that starts meanwhile."""
    walk = Walk()
    threading.setprofile(walk)
    sys.setprofile(walk)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
