"""Read text from stdin and files, as UTF-8 in every locale."""

import sys
from pathlib import Path

import click


def read_stdin() -> str:
    """Return all of stdin. Raises `click.UsageError` if it is closed or not UTF-8."""
    try:
        data = sys.stdin.buffer.read()
    except OSError as error:
        raise click.UsageError(f"Cannot read stdin: {error.strerror}.") from error
    return _decoded(data, "stdin")


def read_file(path: str) -> str:
    """Return the text of a file. Raises `click.UsageError` if it cannot be read as UTF-8."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise click.UsageError(f"Cannot read {path!r}: {error.strerror}.") from error
    return _decoded(data, path)


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"{source} is not UTF-8 text: {error}. Convert it to UTF-8."
        ) from error
