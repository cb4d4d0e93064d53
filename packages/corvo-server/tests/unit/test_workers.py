"""Several nodes together know of the workers what one node would know."""

from hypothesis import given
from hypothesis import strategies as st

from corvo_server.engine.callers import FORGOTTEN_AFTER, Callers
from corvo_server.engine.workers import _SETTLING, WorkerRecord, _merged
from server_support.clock import START

NODES = 3
calls = st.lists(
    st.tuples(
        st.sampled_from([_SETTLING + 1, 30_000, FORGOTTEN_AFTER // 13]),
        st.integers(0, NODES - 1),
        st.sampled_from("vw"),
        st.sampled_from([("a",), ("a", "b"), ("c",), "heartbeat", "stop"]),
    ),
    max_size=12,
)
"""Calls within an hour: the pause before each in ms, the node, the worker, and what it does."""


def note(callers: Callers, worker: str, call: tuple[str, ...] | str, now: int) -> None:
    if call == "stop":
        callers.note_stop(worker, now + _SETTLING, now)
    elif call == "heartbeat":
        callers.note_heartbeat(worker, now)
    else:
        callers.note_fetch(worker, f"host of {worker}", call, now)


def known(now: int, *nodes: Callers) -> dict[str, WorkerRecord]:
    reports = [report for node in nodes for report in node.reports()]
    return _merged(reports, now - FORGOTTEN_AFTER)


@given(calls)
def test_nodes_know_together_what_one_node_would_know(
    made: list[tuple[int, int, str, tuple[str, ...] | str]],
) -> None:
    nodes = [Callers() for _ in range(NODES)]
    alone = Callers()
    now = START
    for pause, node, worker, call in made:
        now += pause
        note(nodes[node], worker, call, now)
        note(alone, worker, call, now)
        expected = known(now, alone)
        for order in (nodes, nodes[::-1]):
            found = known(now, *order)
            assert found.keys() == expected.keys()
            for worker_id, record in found.items():
                one = expected[worker_id]
                assert record.lists == one.lists
                assert record.hostname == one.hostname
                assert record.last_fetch == one.last_fetch
                assert record.last_heartbeat == one.last_heartbeat
                assert record.first_seen is not None
                assert one.first_seen is not None
                # After a sign-off, a node with earlier calls takes its time for the first call.
                assert record.first_seen <= one.first_seen
