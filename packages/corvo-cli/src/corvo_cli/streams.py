"""The standard streams: UTF-8, closed ones, and full disks behind them."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class CannotWrite(OSError):
    """stdout does not take the output. A closed pipe raises `BrokenPipeError` instead."""


class _Stdout(io.TextIOWrapper):
    """A stdout whose errors say that they are about stdout."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CannotWrite(error.errno, error.strerror) from error

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CannotWrite(error.errno, error.strerror) from error


class _Stderr(io.TextIOWrapper):
    """A stderr that drops what it cannot write: there is no other place to say so."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            discard(self)


@contextmanager
def prepared_streams() -> Iterator[None]:
    """Prepare the streams, and restore them at the end.

    JSON is UTF-8 in every locale. A terminal keeps the encoding of its locale.
    """
    _replace_closed_streams()
    before = sys.stdin, sys.stdout, sys.stderr
    wrapped: list[io.TextIOWrapper] = []
    for name, kind in (("stdout", _Stdout), ("stderr", _Stderr)):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            is_terminal = stream.isatty()
            stream.flush()
            new = kind(
                stream.buffer,
                encoding=stream.encoding if is_terminal else "utf-8",
                errors="backslashreplace",
                line_buffering=is_terminal or name == "stderr",
            )
            setattr(sys, name, new)
            wrapped.append(new)
    try:
        yield
    finally:
        for stream in wrapped:
            stream.detach()  # otherwise its end would close the buffer
        sys.stdin, sys.stdout, sys.stderr = before


def discard(stream: io.TextIOWrapper) -> None:
    """Let all further output to a stream vanish, also what is in its buffer."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _replace_closed_streams() -> None:
    """Open a file that refuses all use in place of each closed stream.

    Otherwise the next socket or file would get its number, and receive the output.
    """
    # An opened file gets the lowest free number, so the order is that of the numbers.
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_WRONLY), "r", encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
