"""The table of the nodes of a cluster."""

from datetime import datetime
from typing import TYPE_CHECKING

from corvo_cli.human import age
from corvo_cli.show.views import Cell, Column, Table, state

if TYPE_CHECKING:
    from corvo_client import ClusterStatus


def nodes_table(cluster: "ClusterStatus", now: datetime) -> Table:
    """Return a table with a row for each node."""
    columns = [
        Column("NODE"),
        Column("ADDRESS"),
        Column("ROLE"),
        Column("STATUS"),
        Column("CALLS/S", is_number=True),
        Column("WAITING", is_number=True),
        Column("BACKLOG", is_number=True),
        Column("SEEN"),
        Column("STARTED"),
        Column("VERSION"),
    ]
    rows = [
        (
            Cell(node.id),
            Cell(node.address),
            Cell(node.role),
            state(node.status),
            Cell(node.operations_per_second),
            Cell(node.waiting_fetches),
            Cell(node.backlog),
            Cell(age(node.last_seen, now)),
            Cell(age(node.started_at, now)),
            Cell(node.version),
        )
        for node in cluster.nodes
    ]
    return Table(columns, rows)
