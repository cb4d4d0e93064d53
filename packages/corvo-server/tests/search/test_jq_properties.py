"""payload_jq against random expressions and documents: grammar, SQL, and jq itself."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corvo_server.store.search import jq
from corvo_server.store.search.conditions import And, Compare, Condition, Not, Operator, Or, Truthy
from corvo_server.store.search.filters import JobFilter, where
from corvo_server.store.sqlite.dialect import SqliteDialect
from server_support.jq_oracle import (
    conditions,
    conditions_on,
    documents,
    holds,
    paths_in,
    scalars,
    write,
)


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE jobs (seq INTEGER PRIMARY KEY, payload TEXT) STRICT")
        yield connection


def found(connection: sqlite3.Connection, condition: Condition, texts: list[str]) -> list[int]:
    """The places of the documents that SQLite finds."""
    connection.execute("DELETE FROM jobs")
    connection.executemany("INSERT INTO jobs VALUES (?, ?)", enumerate(texts))
    test = where(JobFilter(payload=condition), SqliteDialect())
    statement = f"SELECT seq FROM jobs WHERE {test.text} ORDER BY seq"  # noqa: S608 - what is tested
    return [seq for (seq,) in connection.execute(statement, test.values)]


def spell(document: Any, style: int) -> str:
    """JSON as some writer or other has it."""
    text = json.dumps(document, ensure_ascii=style % 2 == 0)
    return text.replace("/", "\\/") if style > 1 else text


styles = st.integers(0, 3)


@given(conditions)
def test_what_is_printed_is_read_again(condition: Condition) -> None:
    assert jq.parse(write(condition)) == condition


@given(st.text(max_size=30) | st.text(alphabet='.a[]"0 ()|=<>!?andortlse', max_size=30))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        jq.parse(text)
    except jq.JqError as error:
        position = error.position
    else:
        return
    assert 1 <= position <= len(text) + 1


@given(conditions, st.lists(st.tuples(documents, styles), min_size=1, max_size=4))
def test_sqlite_finds_what_the_condition_means(
    connection: sqlite3.Connection, condition: Condition, spelt: list[tuple[Any, int]]
) -> None:
    texts = [spell(document, style) for document, style in spelt]
    expected = [place for place, (document, _) in enumerate(spelt) if holds(condition, document)]
    assert found(connection, condition, texts) == expected


@given(st.data(), documents, styles, st.sampled_from(Operator), scalars)
def test_sqlite_finds_every_place_of_a_document(
    connection: sqlite3.Connection,
    data: st.DataObject,
    document: Any,
    style: int,
    sign: Operator,
    value: Any,
) -> None:
    path = data.draw(st.sampled_from(paths_in(document)))
    for condition in (Truthy(path), Compare(path, sign, value)):
        expected = [0] if holds(condition, document) else []
        assert found(connection, condition, [spell(document, style)]) == expected


@given(st.data(), documents, styles)
def test_sqlite_finds_what_a_condition_on_its_places_means(
    connection: sqlite3.Connection, data: st.DataObject, document: Any, style: int
) -> None:
    condition = data.draw(conditions_on(st.sampled_from(paths_in(document))))
    expected = [0] if holds(condition, document) else []
    assert found(connection, condition, [spell(document, style)]) == expected


@given(st.data(), documents)
def test_jq_itself_says_the_same(data: st.DataObject, document: Any) -> None:
    real = pytest.importorskip("jq")
    condition = data.draw(conditions_on(st.sampled_from(paths_in(document))))
    # jq's numbers are floats, which cannot tell large integers apart.
    assume(all(abs(number) < 2**53 for number in _integers(document)))
    assume(all(abs(number) < 2**53 for number in _literals(condition)))
    program = real.compile(f"if ({write(condition)}) then 1 else 0 end")
    try:
        answer = program.input_value(document).first()
    except ValueError:
        return  # jq stopped with an error, which here is no match
    assert answer == holds(condition, document), write(condition)


def _integers(document: Any) -> Iterator[int]:
    match document:
        case int():
            yield document
        case list():
            yield from chain.from_iterable(map(_integers, document))
        case dict():
            yield from chain.from_iterable(map(_integers, document.values()))


def _literals(condition: Condition) -> Iterator[int]:
    match condition:
        case Not(inner):
            yield from _literals(inner)
        case And(parts) | Or(parts):
            yield from chain.from_iterable(map(_literals, parts))
        case Compare():
            yield from _integers(condition.value)
