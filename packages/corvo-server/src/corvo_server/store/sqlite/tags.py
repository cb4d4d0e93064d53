"""The index of tags, a table, because SQLite has no index for the members of a JSON object.

`job_tags` has a row for each tag of each job, ordered by segments of successive jobs. A commit
therefore writes only the few pages of the newest segment, however many values a tag has. A lookup
visits every segment, at about 2 µs each.
"""

import sqlite3
from collections.abc import Iterable

import orjson

from corvo_server.store.sqlite.rows import SQL, Insert

_INSERT = Insert(SQL.insert_tag)

SEGMENT_BITS = 12
"""Bits of a seq within a segment of 4096 jobs. Migrations and dialect repeat the number 12."""


def add_tags(connection: sqlite3.Connection, tagged: Iterable[tuple[int, str]]) -> None:
    """Index the tags of new jobs, given as (seq, JSON text of the tags).

    Triggers update the index when tags change and when jobs are deleted. A trigger for inserts
    would cost 2 µs for every job, including jobs without tags.
    """
    _INSERT.run(
        connection,
        [
            (seq >> SEGMENT_BITS, key, value, seq)
            for seq, tags in tagged
            for key, value in orjson.loads(tags).items()
        ],
    )
