"""The summary of a server, its queues and its workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from corvo_cli.human import count, span
from corvo_cli.show.cluster_view import nodes_table
from corvo_cli.show.queue_view import STATES
from corvo_cli.show.views import Cell, Fields, Section, View, state

if TYPE_CHECKING:
    from corvo_client import ClusterStatus, QueueInfo, ServerInfo, WorkerInfo


@dataclass(frozen=True, slots=True)
class Summary:
    """The replies of the server that the summary shows."""

    url: str
    info: "ServerInfo"
    cluster: "ClusterStatus"
    queues: "Sequence[QueueInfo]"
    workers: "Sequence[WorkerInfo]"


def status_view(summary: Summary, now: datetime) -> View:
    """Return the summary, with the nodes if the server is part of a cluster."""
    version = f"{summary.info.server_version} (API {summary.info.api_version})"
    blocks = [
        Fields(
            [
                ("server", Cell(summary.url)),
                ("version", Cell(version)),
                ("status", state(summary.cluster.status)),
                ("uptime", _uptime(summary, now)),
                ("queues", _queues(summary)),
                *[(name, _total(summary, name)) for name in STATES],
                ("oldest pending", _oldest(summary)),
                ("workers", _workers(summary)),
            ]
        )
    ]
    if summary.cluster.mode == "cluster":
        return [*blocks, Section("nodes", table=nodes_table(summary.cluster, now))]
    return blocks


def _uptime(summary: Summary, now: datetime) -> Cell:
    """Return the time since the first node started."""
    starts = [node.started_at for node in summary.cluster.nodes if node.started_at is not None]
    return Cell(span((now - min(starts)).total_seconds()) if starts else "")


def _queues(summary: Summary) -> Cell:
    paused = sum(queue.paused for queue in summary.queues)
    return Cell(f"{len(summary.queues):,}" + (f" ({paused:,} paused)" if paused else ""))


def _total(summary: Summary, name: str) -> Cell:
    total = sum(getattr(queue, name) for queue in summary.queues)
    return Cell(f"{total:,}", name if total else "faint")


def _oldest(summary: Summary) -> Cell:
    ages = [
        (q.oldest_pending_ms, q.name) for q in summary.queues if q.oldest_pending_ms is not None
    ]
    if not ages:
        return Cell("")
    ms, name = max(ages)
    return Cell(f"{span(ms / 1000)} in {name}")


def _workers(summary: Summary) -> Cell:
    words = [f"{len(summary.workers):,}"]
    active = sum(worker.active_jobs for worker in summary.workers)
    not_ok = sum(worker.status != "ok" for worker in summary.workers)
    if active:
        words.append(f"with {count(active, 'active job')}")
    if not_ok:
        words.append(f"({not_ok:,} not ok, see `corvo workers`)")
    return Cell(" ".join(words))
