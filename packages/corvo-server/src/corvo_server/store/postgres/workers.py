"""The table of the nodes' reports about workers."""

from collections.abc import Sequence

import orjson

from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL, Fields, as_json
from corvo_server.store.workers import WorkerReport


def report_workers(pipeline: Pipeline, node_id: str, reports: Sequence[WorkerReport]) -> None:
    """Store a node's reports. Each replaces the node's earlier report on that worker."""
    rows = as_json(map(_fields, reports))
    pipeline.write(SQL.report_workers, {"node_id": node_id, "reports": rows})


def forget_workers(pipeline: Pipeline, node_id: str, before: int, own_before: int) -> None:
    """Delete the reports last seen until `before`, and the node's own from before `own_before`."""
    pipeline.write(
        SQL.forget_workers, {"node_id": node_id, "before": before, "own_before": own_before}
    )


def list_workers(pipeline: Pipeline, node_id: str, since: int) -> list[WorkerReport]:
    """Return the reports last seen after `since`, without those of the node itself."""
    return [
        WorkerReport(worker_id, hostname, _lists(lists), *times)
        for worker_id, hostname, lists, *times in pipeline.ask(
            SQL.list_workers, {"node_id": node_id, "since": since}
        )
    ]


def _fields(report: WorkerReport) -> Fields:
    return {
        "id": report.id,
        "hostname": report.hostname,
        "lists": orjson.dumps(report.lists).decode(),
        "first_seen": report.first_seen,
        "last_fetch": report.last_fetch,
        "last_heartbeat": report.last_heartbeat,
        "stopped_until": report.stopped_until,
        "last_seen": report.last_seen,
    }


def _lists(text: str) -> tuple[tuple[tuple[str, ...], int], ...]:
    return tuple((tuple(queues), at) for queues, at in orjson.loads(text))
