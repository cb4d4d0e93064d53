"""The reading of the database's clock in a node's heartbeat."""

from collections.abc import Iterator

import pytest

from corvo_server.store.nodes import NodeReport
from corvo_server.store.postgres import nodes
from corvo_server.store.postgres.database import connect, write_settings
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL

REPORT = NodeReport("a", "1.2.3", None, 1_000)


@pytest.mark.parametrize(
    ("readings", "best"),
    [
        ([(0, 0.001)], (0, 0.001)),
        ([(0, 0.08), (1, 1.002)], (1, 1.002)),
        ([(0, 0.08), (1, 1.02), (2, 2.04)], (1, 1.02)),
    ],
    ids=["short", "long, short", "all long"],
)
def test_a_slow_reading_of_the_clock_is_repeated(
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    readings: list[tuple[float, float]],
    best: tuple[float, float],
) -> None:
    moments: Iterator[float] = (moment for reading in readings for moment in reading)
    monkeypatch.setattr(nodes, "steady_clock", lambda: next(moments))
    with connect(postgres_url) as connection:
        pipeline = Pipeline(connection)
        pipeline.open()
        pipeline.send(SQL.begin)
        pipeline.send(SQL.set_up_writing, write_settings("corvo"))
        reading = nodes.beat(pipeline, REPORT, 1_000).clock
        pipeline.abandon()
    assert reading is not None
    assert (reading.asked, reading.answered) == best
    assert next(moments, None) is None
