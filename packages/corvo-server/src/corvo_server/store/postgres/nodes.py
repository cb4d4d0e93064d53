"""The table of nodes (servers on this database) and the leader lease."""

from corvo_server.store.nodes import HeartbeatResult, NodeRecord, NodeReport, Reading, steady_clock
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL

SILENT_NODE_MS = 3_600_000
"""Milliseconds without a heartbeat after which a node is deleted."""
_CLOCK_READINGS = 3
"""Times that the database's clock is read, at most, in one heartbeat."""
_PRECISE_SECONDS = 0.005
"""Seconds. A reading of the clock is only as precise as it is long; a longer one is repeated."""


def node_of(writer_id: str) -> str:
    """Return the id of a writer's node: `writer_x` belongs to `node_x`.

    The common part lets a later node clean up the counters of a writer whose node is deleted.
    """
    return f"node_{writer_id.removeprefix('writer_')}"


def writer_of(node_id: str) -> str:
    """Return the id of a node's writer."""
    return f"writer_{node_id.removeprefix('node_')}"


def beat(pipeline: Pipeline, report: NodeReport, lease_ms: int) -> HeartbeatResult:
    """Record a node's heartbeat, and acquire the leader lease if it is free, or renew it.

    Return whether the node is the leader, a reading of the database's clock, and the stored offset
    of that clock. All times come from that clock, read when each statement runs.
    """
    pipeline.write(
        SQL.record_heartbeat,
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
    pipeline.write(SQL.acquire_leader_lease, {"id": report.id, "lease_ms": lease_ms})
    pipeline.sync()  # or the readings of the clock would include the time of these statements
    best: Reading | None = None
    is_leader, wall_offset, newest = False, 0, None
    for _ in range(_CLOCK_READINGS):
        asked = steady_clock()
        ((is_leader, now, wall_offset, newest),) = pipeline.ask(
            SQL.read_leader_and_time, (report.id,)
        )
        reading = Reading(now, asked, steady_clock())
        if best is None or reading.seconds < best.seconds:
            best = reading
        if best.seconds < _PRECISE_SECONDS:
            break
    return HeartbeatResult(is_leader, lease_ms, best, wall_offset, newest)


def leave(pipeline: Pipeline, node_id: str) -> None:
    """Delete a node, and release the leader lease if it has it."""
    pipeline.write(SQL.release_leader_lease, (node_id,))
    pipeline.write(SQL.delete_node, (node_id,))


def list_nodes(pipeline: Pipeline) -> list[NodeRecord]:
    """Return the nodes with a heartbeat within the last hour that have not left."""
    return [
        NodeRecord(NodeReport(*report), last_seen, is_leader)
        for *report, last_seen, is_leader in pipeline.ask(SQL.list_nodes, (SILENT_NODE_MS,))
    ]
