"""Read a payload from the command line: a JSON literal, `@file`, or `-` for stdin."""

import click

import corvo_client
from corvo_cli.texts import read_file, read_stdin


def read_payload(text: str) -> "corvo_client.RawJson":
    """Return the payload. Raises `click.UsageError` if it is not JSON or cannot be read."""
    source, document = _read(text)
    try:
        return corvo_client.RawJson(document)
    except ValueError as error:
        hint = "" if source != "PAYLOAD" else ' Quote it for the shell, e.g. \'{"to": "ada"}\'.'
        raise click.UsageError(f"{source} is not valid JSON: {error}.{hint}") from error


def _read(text: str) -> tuple[str, str]:
    """Return the name of the source and its text."""
    if text == "-":
        return "stdin", read_stdin()
    if text.startswith("@"):
        source = text.removeprefix("@")
        return source, read_file(source)
    return "PAYLOAD", text
