"""The index of tags, which SQLite has no kind of its own for.

`job_tags` has a row for each tag of each job, clustered by segments of successive jobs: a commit
touches the few pages of the newest segment, however many values a tag has. A lookup visits each
segment, which costs about 2 µs apiece.
"""

import sqlite3
from collections.abc import Iterable

import orjson

from corvo_server.store.sqlite.inserts import Insert
from corvo_server.store.sqlite.rows import SQL

_INSERT = Insert(SQL.insert_tag)

SEGMENT_BITS = 12
"""A segment is `seq >> 12`, 4096 jobs. The schema's triggers and the dialect say so as well."""


def add_tags(connection: sqlite3.Connection, tagged: Iterable[tuple[int, str]]) -> None:
    """Note the tags of new jobs, given as (seq, JSON text).

    Triggers do it for tags that change and for jobs that go. For inserts a trigger would cost
    every job 2 µs, also those without tags.
    """
    _INSERT.run(
        connection,
        [
            (seq >> SEGMENT_BITS, key, value, seq)
            for seq, tags in tagged
            for key, value in orjson.loads(tags).items()
        ],
    )
