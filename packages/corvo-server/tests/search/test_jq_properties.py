"""payload_jq on random expressions and documents: the grammar, the SQL, and jq itself."""

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
    """Return the indexes in `texts` of the documents that SQLite finds."""
    connection.execute("DELETE FROM jobs")
    connection.executemany("INSERT INTO jobs VALUES (?, ?)", enumerate(texts))
    test = where(JobFilter(payload=condition), SqliteDialect())
    statement = f"SELECT seq FROM jobs WHERE {test.text} ORDER BY seq"  # noqa: S608 - what is tested
    return [seq for (seq,) in connection.execute(statement, test.values)]


def spell(document: Any, style: int) -> str:
    """Return the document as JSON in one of four styles of escaping."""
    text = json.dumps(document, ensure_ascii=style % 2 == 0)
    return text.replace("/", "\\/") if style > 1 else text


styles = st.integers(0, 3)


@given(conditions)
def test_a_printed_condition_parses_to_itself(condition: Condition) -> None:
    assert jq.parse(write(condition)) == condition


@given(st.text(max_size=30) | st.text(alphabet='.a[]"0 ()|=<>!?andortlse', max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        jq.parse(text)
    except jq.JqError as error:
        position = error.position
    else:
        return
    assert 1 <= position <= len(text) + 1


@given(conditions, st.lists(st.tuples(documents, styles), min_size=1, max_size=4))
def test_sqlite_agrees_with_the_oracle_on_conditions(
    connection: sqlite3.Connection, condition: Condition, spelt: list[tuple[Any, int]]
) -> None:
    texts = [spell(document, style) for document, style in spelt]
    expected = [place for place, (document, _) in enumerate(spelt) if holds(condition, document)]
    assert found(connection, condition, texts) == expected


@given(st.data(), documents, styles, st.sampled_from(Operator), scalars)
def test_sqlite_agrees_with_the_oracle_on_every_path(
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
def test_sqlite_agrees_with_the_oracle_on_conditions_on_existing_paths(
    connection: sqlite3.Connection, data: st.DataObject, document: Any, style: int
) -> None:
    condition = data.draw(conditions_on(st.sampled_from(paths_in(document))))
    expected = [0] if holds(condition, document) else []
    assert found(connection, condition, [spell(document, style)]) == expected


@given(st.data(), documents)
def test_jq_agrees_with_the_oracle(data: st.DataObject, document: Any) -> None:
    real = pytest.importorskip("jq")
    condition = data.draw(conditions_on(st.sampled_from(paths_in(document))))
    # jq's numbers are floats, which cannot represent all large integers.
    assume(all(abs(number) < 2**53 for number in _integers(document)))
    assume(all(abs(number) < 2**53 for number in _literals(condition)))
    program = real.compile(f"if ({write(condition)}) then 1 else 0 end")
    try:
        answer = program.input_value(document).first()
    except ValueError:
        return  # jq fails on this document, which in a search counts as no match
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
