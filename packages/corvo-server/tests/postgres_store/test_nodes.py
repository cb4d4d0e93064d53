"""How a server learns what time it is by the database's clock."""

from collections.abc import Iterator

import pytest

from corvo_server.store.nodes import NodeReport
from corvo_server.store.postgres import nodes
from corvo_server.store.postgres.database import connect, set_up
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL

REPORT = NodeReport("a", "1.2.3", None, 1_000)


@pytest.mark.parametrize(
    ("looks", "best"),
    [
        ([(0, 0.001)], (0, 0.001)),
        ([(0, 0.08), (1, 1.002)], (1, 1.002)),
        ([(0, 0.08), (1, 1.02), (2, 2.04)], (1, 1.02)),
    ],
    ids=["short", "long, short", "all long"],
)
def test_a_look_at_the_clock_that_took_long_is_repeated(
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    looks: list[tuple[float, float]],
    best: tuple[float, float],
) -> None:
    moments: Iterator[float] = (moment for look in looks for moment in look)
    monkeypatch.setattr(nodes, "steady_clock", lambda: next(moments))
    with connect(postgres_url) as connection:
        pipeline = Pipeline(connection)
        pipeline.open()
        pipeline.send(SQL.begin)
        pipeline.send(SQL.set_up_writing, set_up("corvo"))
        reading = nodes.beat(pipeline, REPORT, 1_000).clock
        pipeline.abandon()
    assert reading is not None
    assert (reading.asked, reading.answered) == best
    assert next(moments, None) is None
