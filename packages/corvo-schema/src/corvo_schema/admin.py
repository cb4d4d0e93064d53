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
    started_at: Timestamp | None = None
    active_jobs: int = 0


class NodeInfo(ReplyModel):
    """One server of a cluster."""

    id: str
    address: str | None = None
    role: str | None = Field(None, description="`leader` runs the scheduled work.")
    status: str = "healthy"
    last_seen: Timestamp | None = None


class ClusterStatus(ReplyModel):
    """`GET /cluster/status`: one server alone, or several on one database."""

    mode: Literal["single", "cluster"] | str
    status: str
    nodes: list[NodeInfo] = Field(default_factory=list)


class ServerInfo(ReplyModel):
    """`GET /info`."""

    server_version: str
    api_version: str


class Health(ReplyModel):
    """`GET /healthz` and `GET /readyz`."""

    status: str
