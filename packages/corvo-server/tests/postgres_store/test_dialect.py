"""Conditions of payload_jq in PostgreSQL, compared with an oracle on random documents."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corvo_server.store.postgres.dialect import PostgresDialect
from corvo_server.store.search.conditions import Condition
from corvo_server.store.search.filters import JobFilter, where
from server_support.jq_oracle import conditions, conditions_on, documents, holds, paths_in

Connection = psycopg.Connection[tuple[Any, ...]]

# `found` empties the table first, so all examples can share one connection.
shared = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100
)


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    options = "-c search_path=corvo"
    with psycopg.connect(postgres_url, autocommit=True, options=options) as connection:
        connection.execute("CREATE TEMP TABLE payloads (seq integer, payload text)")
        yield connection


def found(connection: Connection, condition: Condition, texts: list[str]) -> list[int]:
    """Return the indexes in `texts` of the documents that PostgreSQL finds."""
    connection.execute("DELETE FROM payloads")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO payloads VALUES (%s, %s)", list(enumerate(texts)))
    test = where(JobFilter(payload=condition), PostgresDialect())
    words = test.text.replace("%", "%%").replace("?", "%s")
    statement = f"SELECT seq FROM payloads AS jobs WHERE {words} ORDER BY seq"  # noqa: S608 - what is tested
    return [seq for (seq,) in connection.execute(statement, test.values)]


@shared
@given(conditions, st.lists(documents, min_size=1, max_size=4))
def test_postgres_agrees_with_the_oracle_on_conditions(
    connection: Connection, condition: Condition, documents: list[Any]
) -> None:
    expected = [place for place, document in enumerate(documents) if holds(condition, document)]
    assert found(connection, condition, [json.dumps(item) for item in documents]) == expected


@shared
@given(st.data(), documents)
def test_postgres_agrees_with_the_oracle_on_every_path(
    connection: Connection, data: st.DataObject, document: Any
) -> None:
    condition = data.draw(conditions_on(st.sampled_from(paths_in(document))))
    expected = [0] if holds(condition, document) else []
    assert found(connection, condition, [json.dumps(document)]) == expected
