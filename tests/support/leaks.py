"""Searches the output of processes, and the list of processes, for API keys.

With `CORVO_TEST_KEYS=1` all servers of the integration tests need keys, and all clients have one.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corvo_server.auth.key_text import new_key
from server_support.process import STARTED, are_keys_used

_KEY = re.compile(r"corvo_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
_FILE, _VARIABLE = "CORVO_TEST_KEY_FILE", "CORVO_API_KEY"
_outputs: list[str] = []


def first_key_options() -> dict[str, str | int]:
    """Return the options with which a server needs the key of the tests; none without keys."""
    return {"bootstrap_key_file": os.environ[_FILE]} if are_keys_used() else {}


@contextmanager
def key_of_tests() -> Iterator[None]:
    """Make the key of the tests, if they use one, and give it to all clients of the process."""
    if not are_keys_used():
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        path, key = Path(folder) / "key", new_key().text
        path.write_text(key, encoding="utf-8")
        os.environ.update({_FILE: str(path), _VARIABLE: key})
        yield
        for name in (_FILE, _VARIABLE):
            del os.environ[name]


def note_output(text: str) -> None:
    """Add the output of a process that has ended to what is searched."""
    _outputs.append(text)


def leaks_of_output() -> list[str]:
    """Return the lines of all processes so far that show a key, with the key replaced."""
    texts = [*_outputs, *(process.output for process in STARTED)]
    return [
        _KEY.sub("KEY", line)
        for text in texts
        for line in text.splitlines()
        # A first key is printed alone: that is no leak.
        if _KEY.search(line) and not _KEY.fullmatch(line.strip())
    ]


def leaks_of_processes() -> list[str]:
    """Return the command lines of this machine's processes that show the key of the tests."""
    key = os.environ.get(_VARIABLE, "").encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:  # the process has ended
            continue
        if key and key in line:
            found.append(line.replace(key, b"KEY").replace(b"\0", b" ").decode(errors="replace"))
    return found
