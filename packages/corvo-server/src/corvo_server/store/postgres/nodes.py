"""The servers that work on this database, and which of them has the lead."""

from corvo_server.store.nodes import NodeRecord, NodeReport, Reading, Standing, steady_clock
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL

FORGOTTEN_AFTER = 3_600_000
"""Milliseconds without a report."""
_LOOKS = 3
_SHORT = 0.005
"""Seconds. A look at the clock that takes longer is worth another one: it tells the time no better
than to within its own length."""


def node_of(writer_id: str) -> str:
    """The node of a writer: they bear one number, so that one can tidy up after both."""
    return f"node_{writer_id.removeprefix('writer_')}"


def writer_of(node_id: str) -> str:
    """The writer of a node."""
    return f"writer_{node_id.removeprefix('node_')}"


def beat(pipeline: Pipeline, report: NodeReport, lease_ms: int) -> Standing:
    """Keep a report, and take the lead if nobody has it, or go on having it.

    The clock is the database's, as it is when each statement runs.
    """
    pipeline.write(
        SQL.report_node,
        (
            report.id,
            report.version,
            report.address,
            report.started_at,
            report.waiting_fetches,
            report.backlog,
            report.operations,
        ),
    )
    pipeline.write(SQL.take_leader_lease, {"id": report.id, "lease_ms": lease_ms})
    pipeline.sync()  # so that the clock is looked at between two moments that are close together
    best: Reading | None = None
    for _ in range(_LOOKS):
        asked = steady_clock()
        ((is_leader, now),) = pipeline.ask(SQL.standing, (report.id,))
        reading = Reading(now, asked, steady_clock())
        if best is None or reading.seconds < best.seconds:
            best = reading
        if best.seconds < _SHORT:
            break
    return Standing(is_leader, lease_ms, best)


def leave(pipeline: Pipeline, node_id: str) -> None:
    """Forget a node, and free the lead if it has it."""
    pipeline.write(SQL.free_leader_lease, (node_id,))
    pipeline.write(SQL.forget_node, (node_id,))


def list_nodes(pipeline: Pipeline) -> list[NodeRecord]:
    """The nodes that have reported within an hour and not left."""
    return [
        NodeRecord(NodeReport(*report), last_seen, is_leader)
        for *report, last_seen, is_leader in pipeline.ask(SQL.list_nodes, (FORGOTTEN_AFTER,))
    ]
