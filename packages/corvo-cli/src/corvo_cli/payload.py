"""A payload as it is given on the command line: a JSON literal, `@file`, or `-` for stdin."""

import click

import corvo_client
from corvo_cli.texts import read_file, read_stdin


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
        return "stdin", read_stdin()
    if text.startswith("@"):
        source = text.removeprefix("@")
        return source, read_file(source)
    return "PAYLOAD", text
