"""A program: a server with other settings of SQLite than those of Corvo.

CHANGED_CHECKPOINT is the number of pages in the write-ahead log that start a checkpoint, and
CHANGED_SYNCHRONOUS the value of PRAGMA synchronous.
"""

import os
import sqlite3
from pathlib import Path

from corvo_server.cli import server
from corvo_server.store.sqlite import database

_PRAGMAS = {
    "wal_autocheckpoint": os.environ.get("CHANGED_CHECKPOINT"),
    "synchronous": os.environ.get("CHANGED_SYNCHRONOUS"),
}
_open_writer = database._open_writer


def _open_changed(path: Path, *, is_for_transfer: bool) -> sqlite3.Connection:
    connection = _open_writer(path, is_for_transfer=is_for_transfer)
    for name, value in _PRAGMAS.items():
        if value is not None:
            connection.execute(f"PRAGMA {name} = {value}")
    return connection


if __name__ == "__main__":
    database._open_writer = _open_changed
    server()
