"""Endpoints about the server: workers, cluster, versions, health."""

from sanic import HTTPResponse, Request

from corvo_schema import ClusterStatus, Health, ServerInfo, WorkerInfo
from corvo_schema.errors import ErrorCode
from corvo_server.__about__ import __version__
from corvo_server.engine.errors import CallError
from corvo_server.http import documents
from corvo_server.http.endpoint import ANY_KEY, ANYONE, SEE, Resource
from corvo_server.http.replies import reply
from corvo_server.http.request import engine_of, shift_of

API_VERSION = "1"

resource = Resource("admin")
root = Resource("health", prefix="")


@resource.endpoint("GET", "/workers", roles=SEE, replies={200: list[WorkerInfo]})
async def list_workers(request: Request) -> HTTPResponse:
    """List the workers that called within the last hour, and those that have active jobs.

    On PostgreSQL, these are the workers of all nodes. A new worker of another node appears within
    some seconds, and its last calls are up to some seconds old. A worker that signs off (`stopped`
    in a heartbeat) is gone at once.
    """
    return reply(
        [
            documents.worker(record, shift_of(request))
            for record in await engine_of(request).workers.list()
        ]
    )


@resource.endpoint(
    "GET",
    "/workers/<worker_id:str>",
    roles=SEE,
    replies={200: WorkerInfo},
    errors=(ErrorCode.NOT_FOUND,),
)
async def get_worker(request: Request, worker_id: str) -> HTTPResponse:
    """Return one worker: its queues, last calls and number of active jobs."""
    return reply(
        documents.worker(await engine_of(request).workers.get(worker_id), shift_of(request))
    )


@resource.endpoint("GET", "/cluster/status", roles=SEE, replies={200: ClusterStatus})
async def cluster_status(request: Request) -> HTTPResponse:
    """Return the servers on this database, their health and which of them is the leader.

    A key with a scope gets no numbers of their load.
    """
    engine = engine_of(request)
    await engine.check()
    nodes = await engine.nodes.list()
    return reply(documents.cluster(nodes, engine.wall.offset, is_single=engine.nodes.is_alone))


@resource.endpoint("GET", "/info", roles=ANY_KEY, replies={200: ServerInfo})
async def info(request: Request) -> HTTPResponse:
    """Return the versions of the server and of its API."""
    return reply({"server_version": __version__, "api_version": API_VERSION})


@root.endpoint(
    "GET", "/healthz", roles=ANYONE, replies={200: Health}, errors=(ErrorCode.UNAVAILABLE,)
)
async def healthz(request: Request) -> HTTPResponse:
    """Check that the server works. Answer 503 if the database does not respond."""
    await engine_of(request).check()
    return reply({"status": "ok"})


@root.endpoint(
    "GET", "/readyz", roles=ANYONE, replies={200: Health}, errors=(ErrorCode.UNAVAILABLE,)
)
async def readyz(request: Request) -> HTTPResponse:
    """Check that the server accepts traffic. Answer 503 if writes fail or while it shuts down."""
    engine = engine_of(request)
    if engine.is_closing:
        raise CallError(ErrorCode.UNAVAILABLE, "The server is shutting down.", retry_after=1)
    await engine.check_ready()
    return reply({"status": "ok"})
