"""A payload as it is given on the command line: a JSON literal, `@file`, or `-` for stdin."""

import sys
from pathlib import Path

import click

import corvo_client


def read_payload(text: str) -> "corvo_client.RawJson":
    """Return the payload. Raises `click.UsageError` for what is not JSON or cannot be read."""
    source, document = _read(text)
    try:
        return corvo_client.RawJson(document)
    except ValueError as error:
        hint = "" if source != "PAYLOAD" else ' Quote it for the shell, like \'{"to": "ada"}\'.'
        raise click.UsageError(f"{source} is not JSON: {error}.{hint}") from error


def _read(text: str) -> tuple[str, str]:
    """The name of the source, and what is in it."""
    if text == "-":
        data = sys.stdin.buffer.read()
        source = "stdin"
    elif text.startswith("@"):
        source = text.removeprefix("@")
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise click.UsageError(f"Cannot read {source!r}: {error.strerror}.") from error
    else:
        return "PAYLOAD", text
    try:
        return source, data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{source} is not UTF-8 text: {error}.") from error
