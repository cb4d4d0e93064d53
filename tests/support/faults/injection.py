"""Injects faults into the calls that a server makes on its files, while it runs.

`inject.c` is preloaded into the server. It and this module map one file, with the rules and with
what the disk has of each page that the page cache has changed.
"""

import ctypes
import errno
import mmap
import os
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Self

LOG = "-wal"
DATABASE = "/corvo.db"
DIRECTORY = "/data"
"""The data directory of a server of `injection` tests."""
FOREVER = 2**32 - 1

_RULES, _FILES, _PAGES, _PAGE = 16, 8, 32768, 4096


class Call(IntEnum):
    """A call on a file."""

    WRITE = 0
    SYNC = 1
    TRUNCATE = 2
    OPEN = 3
    READ = 4


class Effect(IntEnum):
    """What happens instead of a call, or before it."""

    FAIL = 0
    """It does nothing and returns an error."""
    SHORTEN = 1
    """A write takes fewer bytes."""
    DELAY = 2
    """It takes longer."""
    LOSE = 3
    """A sync fails. What was not synced is gone at once, as if the page cache was dropped, too."""
    LOSE_LATER = 4
    """A sync fails. What was not synced is gone after a power cut, also if later syncs succeed."""
    LIE = 5
    """A sync does nothing and returns success."""


class _Rule(ctypes.Structure):
    _fields_ = (
        ("suffix", ctypes.c_char * 64),
        *((name, ctypes.c_uint32) for name in ("call", "effect", "value", "after", "times")),
        *((name, ctypes.c_uint32) for name in ("is_on", "seen", "hits")),
    )
    suffix: bytes
    call: int
    effect: int
    value: int
    after: int
    times: int
    is_on: int
    hits: int


class _File(ctypes.Structure):
    _fields_ = (
        ("device", ctypes.c_uint64),
        ("inode", ctypes.c_uint64),
        ("size", ctypes.c_int64),
        ("failures", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("path", ctypes.c_char * 512),
    )
    size: int
    path: bytes


class _Page(ctypes.Structure):
    _fields_ = (
        ("file", ctypes.c_uint32),
        ("is_lost", ctypes.c_uint32),
        ("number", ctypes.c_int64),
    )
    file: int
    number: int


class _Control(ctypes.Structure):
    _fields_ = (
        ("rules", _Rule * _RULES),
        *((name, ctypes.c_uint32) for name in ("tracks", "files", "pages", "is_overfull")),
        ("file", _File * _FILES),
        ("page", _Page * _PAGES),
        ("old", ctypes.c_char * _PAGE * _PAGES),
    )
    rules: "ctypes.Array[_Rule]"
    tracks: int
    files: int
    pages: int
    is_overfull: int
    file: "ctypes.Array[_File]"
    page: "ctypes.Array[_Page]"
    old: "ctypes.Array[ctypes.Array[ctypes.c_char]]"


class Fault:
    """A fault that is in force until `end`, or within a `with` block."""

    def __init__(self, rule: _Rule) -> None:
        self._rule: _Rule | None = rule
        self._hits = 0

    @property
    def hits(self) -> int:
        """Number of calls that the fault has changed."""
        return self._hits if self._rule is None else self._rule.hits

    def end(self) -> None:
        """Let all calls succeed again."""
        if self._rule is not None:
            self._rule.is_on = 0
            self._hits = self._rule.hits
            self._rule = None  # another fault may use it now

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


class Injection:
    """The faults of one server, which is started with `env`."""

    def __init__(self, library: Path, control: Path) -> None:
        with control.open("wb") as file:
            file.truncate(ctypes.sizeof(_Control))
        with control.open("r+b") as file:
            self._control = _Control.from_buffer(mmap.mmap(file.fileno(), 0))
        self.env = {"LD_PRELOAD": str(library), "INJECT_CONTROL": str(control)}

    def add(
        self,
        target: str,
        call: Call,
        effect: Effect = Effect.FAIL,
        value: int = errno.EIO,
        *,
        after: int = 0,
        times: int = FOREVER,
    ) -> Fault:
        """Change calls on files whose path ends with `target`: `times` calls, `after` others.

        `value` is the error of FAIL, the bytes of SHORTEN, or the ms of DELAY.
        """
        rule = next(rule for rule in self._control.rules if not rule.is_on)
        ctypes.memset(ctypes.addressof(rule), 0, ctypes.sizeof(rule))
        rule.suffix, rule.call, rule.effect, rule.value = target.encode(), call, effect, value
        rule.after, rule.times = after, times
        rule.is_on = 1
        return Fault(rule)

    def track(self) -> None:
        """Keep what the disk has from now on. `cut_power` and all loss of pages need this."""
        self._control.tracks = 1

    def cut_power(self) -> int:
        """Give the files of a server that was killed the content that the disk has.

        All that no successful fsync has written is lost. Return the number of lost pages.
        """
        control = self._control
        assert not control.is_overfull
        for number in range(control.files):
            path = Path(os.fsdecode(control.file[number].path))
            if not path.exists():
                continue
            with path.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                for at in range(control.pages):
                    start = control.page[at].number * _PAGE
                    if control.page[at].file == number and start < size:
                        file.seek(start)
                        file.write(bytes(control.old[at].raw[: size - start]))
                file.truncate(min(size, control.file[number].size))
        lost: int = control.pages
        control.pages = control.files = 0
        return lost
