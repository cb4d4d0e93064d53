"""Replies about the server, its nodes and its workers."""

from typing import Literal

from pydantic import Field

from corvo_schema._base import ReplyModel
from corvo_schema.timestamps import Timestamp


class WorkerInfo(ReplyModel):
    """A worker process, in the list of `GET /workers`."""

    id: str
    hostname: str | None = None
    queues: list[str] = Field(default_factory=list)
    last_heartbeat: Timestamp | None = None
    last_fetch: Timestamp | None = None
    started_at: Timestamp | None = Field(
        None, description="Time of the first call of the worker that the servers know."
    )
    active_jobs: int = 0
    status: Literal["ok", "not_fetching", "silent"] | str = Field(
        "ok",
        description="silent: the worker has not called for two minutes. not_fetching: it sends "
        "heartbeats but has not fetched for five minutes.",
    )


class NodeInfo(ReplyModel):
    """A node: one server on the database."""

    id: str
    address: str | None = None
    role: str | None = Field(
        None, description="`leader` or `follower`. Only the leader runs maintenance and schedules."
    )
    status: Literal["healthy", "silent"] | str = Field(
        "healthy", description="silent: its last heartbeat is more than five seconds old."
    )
    version: str | None = None
    started_at: Timestamp | None = None
    last_seen: Timestamp | None = None
    waiting_fetches: int | None = Field(
        None, description="Number of fetches that wait for a job on this node."
    )
    backlog: int | None = Field(
        None, description="Number of writes that wait for their commit on this node."
    )
    operations_per_second: int | None = Field(
        None, description="Operations that the node committed per second."
    )


class ClusterStatus(ReplyModel):
    """Reply of `GET /cluster/status`: the nodes and their health."""

    mode: Literal["single", "cluster"] | str = Field(
        description="single: only one server can use the database (SQLite)."
    )
    status: Literal["healthy", "degraded"] | str = Field(
        description="degraded: a node is silent, or no node is the leader."
    )
    nodes: list[NodeInfo] = Field(default_factory=list)
    clock_offset_seconds: float | None = Field(
        None,
        description="Sum of the jumps of the wall clock. The server's own time does not jump.",
    )


class ServerInfo(ReplyModel):
    """Reply of `GET /info`."""

    server_version: str
    api_version: str


class Health(ReplyModel):
    """Reply of `GET /healthz` and `GET /readyz`."""

    status: str
