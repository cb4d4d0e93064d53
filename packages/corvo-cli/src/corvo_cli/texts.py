"""Text from stdin and from files. It is UTF-8, whatever the locale is."""

import sys
from pathlib import Path

import click


def read_stdin() -> str:
    """Return all of stdin. Raises `click.UsageError` for what is no text."""
    return _decoded(sys.stdin.buffer.read(), "stdin")


def read_file(path: str) -> str:
    """Return a file's text. Raises `click.UsageError` when there is none to be had."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise click.UsageError(f"Cannot read {path!r}: {error.strerror}.") from error
    return _decoded(data, path)


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{source} is not UTF-8 text: {error}.") from error
