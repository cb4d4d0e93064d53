"""The server and its workers, as their operators see them."""

from typing import Literal

from pydantic import Field

from corvo_schema._base import ReplyModel
from corvo_schema.timestamps import Timestamp


class WorkerInfo(ReplyModel):
    """One of `GET /workers`: a process that fetches jobs."""

    id: str
    hostname: str | None = None
    queues: list[str] = Field(default_factory=list)
    last_heartbeat: Timestamp | None = None
    last_fetch: Timestamp | None = None
    started_at: Timestamp | None = Field(None, description="When this server first saw it.")
    active_jobs: int = 0
    status: Literal["ok", "not_fetching", "silent"] | str = Field(
        "ok",
        description="not_fetching: it heartbeats but has not asked for jobs for five minutes; "
        "silent: it holds jobs but does not call.",
    )


class NodeInfo(ReplyModel):
    """One server of a cluster."""

    id: str
    address: str | None = None
    role: str | None = Field(None, description="`leader` runs the scheduled work.")
    status: Literal["healthy", "silent"] | str = Field(
        "healthy", description="silent: it has not reported for five seconds."
    )
    version: str | None = None
    started_at: Timestamp | None = None
    last_seen: Timestamp | None = None
    waiting_fetches: int | None = Field(None, description="Fetches that wait there for a job.")
    backlog: int | None = Field(None, description="Writes that wait there for their commit.")
    operations_per_second: int | None = Field(
        None, description="Calls that it committed within the last second."
    )


class ClusterStatus(ReplyModel):
    """`GET /cluster/status`: one server alone, or several on one database."""

    mode: Literal["single", "cluster"] | str
    status: Literal["healthy", "degraded"] | str = Field(
        description="degraded: a node is silent, or none leads."
    )
    nodes: list[NodeInfo] = Field(default_factory=list)


class ServerInfo(ReplyModel):
    """`GET /info`."""

    server_version: str
    api_version: str


class Health(ReplyModel):
    """`GET /healthz` and `GET /readyz`."""

    status: str
