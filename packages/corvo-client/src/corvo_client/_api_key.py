"""The API key of a client: given, or from the environment, or from a file."""

import os
from collections.abc import Mapping
from pathlib import Path

from corvo_client._errors import InvalidSetting

VARIABLE, FILE_VARIABLE = "CORVO_API_KEY", "CORVO_API_KEY_FILE"
_MAX_BYTES = 4096
"""Maximum size of the file. A key has 68 bytes."""


def find_api_key(given: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return `given`, else CORVO_API_KEY, else the content of CORVO_API_KEY_FILE, else "".

    An empty text counts as not given. Raises `InvalidSetting`.
    """
    key = (given or environment.get(VARIABLE) or "").strip()
    if not key and (path := environment.get(FILE_VARIABLE)):
        return _read(path)
    return _checked(key, "")


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidSetting(f"{FILE_VARIABLE}: cannot read the file {path!r}: {reason}") from error
    text = content.decode(errors="replace").strip()
    if not text:
        raise InvalidSetting(
            f"{FILE_VARIABLE}: the file {path!r} is empty; write an API key into it"
        )
    if len(content) > _MAX_BYTES:
        raise InvalidSetting(f"{FILE_VARIABLE}: the file {path!r} is too large to be an API key")
    return _checked(text, f"{FILE_VARIABLE}: the file {path!r}: ")


def _checked(key: str, where: str) -> str:
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InvalidSetting(f"{where}the API key must be printable ASCII text without blanks")
    return key
