"""The first API key: that of a file, or a new one that is printed once."""

import logging
import sys
from pathlib import Path

from corvo_server.auth.key_text import KeyText, MalformedKeyError, new_key, read_key
from corvo_server.engine.engine import Engine
from corvo_server.settings import Settings

log = logging.getLogger(__name__)

_MAX_BYTES = 4096
"""Longest file that is read; a key has 68 characters."""


class FirstKeyError(Exception):
    """Raised if the file of the first key cannot be used. The message says what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"--bootstrap-key-file {path}: {reason}. Make a key for it with: corvo-server keys new"
        )


async def make_first_key(settings: Settings, engine: Engine) -> None:
    """Make the first API key as the settings say, unless there was one. Raise `FirstKeyError`.

    The clock of the engine must have been set.
    """
    path = settings.bootstrap_key_file
    if engine.keys.are_required:
        if path is not None:
            _compare(path, engine)
    elif path is not None:
        text = read_key_file(path)
        if await engine.keys.create_first(text):
            log.info("the API key %s of an admin was made from %s", text.id, path)
        else:  # another server was faster
            _compare(path, engine)
    elif settings.bootstrap_key and not settings.insecure_no_auth:
        text = new_key()
        if await engine.keys.create_first(text):
            sys.stdout.write(f"{text.text}\n")
            sys.stdout.flush()
            log.info(
                "the API key %s of an admin was made and printed on stdout; keep it now: it cannot "
                "be shown again",
                text.id,
            )


def read_key_file(path: Path) -> KeyText:
    """Return the key in a file. Raise `FirstKeyError`."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
    except OSError as error:
        raise FirstKeyError(path, f"cannot be read: {error.strerror}") from error
    text = content.decode(errors="replace").strip()
    if not text:
        raise FirstKeyError(path, "is empty")
    try:
        return read_key(text)
    except MalformedKeyError as error:
        raise FirstKeyError(path, f"holds no valid key: {error}") from None


def _compare(path: Path, engine: Engine) -> None:
    """Warn if a file holds a key that has no effect."""
    try:
        text = read_key_file(path)
    except FirstKeyError as error:
        log.warning("there are API keys already, so this file is not needed: %s", error)
        return
    if engine.keys.find(text.id) is None:
        log.warning(
            "the API key %s in %s has no effect: there are other API keys already; make one more "
            "with: corvo keys create, or: corvo-server keys create",
            text.id,
            path,
        )
