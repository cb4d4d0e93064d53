"""Names with slashes in paths: escaped, and unescaped as some proxies send them."""

from typing import Any
from urllib.parse import quote

import pytest

from corvo_server.app import RESOURCES
from corvo_server.http.endpoint import Endpoint
from server_support.bench import Bench
from server_support.http import HttpServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODIES: dict[str, Any] = {
    "concurrency": {"max": 3},
    "throttle": {"rate": 3, "period": "1s"},
    "": {"name": "new/name", "queue": "q", "cron": "@daily"},
}
ENDPOINTS = [
    endpoint
    for resource in RESOURCES
    if resource.blueprint.name in {"queues", "schedules"}
    for endpoint in resource.endpoints
    if "<" in endpoint.path
]
NAMES = [
    "a/b",
    "a/b/c",
    "a//b",
    "/a",
    "a/",
    "pause/a",
    "a/pause",
    "a/b/resume",
    "throttle/throttle",
]


async def call(server: HttpServer, endpoint: Endpoint, path: str) -> tuple[int, Any]:
    """Call the endpoint. Return the status and the body without its request id."""
    verb = endpoint.path.partition(">")[2].removeprefix("/")
    body = BODIES.get(verb) if endpoint.request else None
    query = "?confirm=true" if endpoint.method == "DELETE" and not verb else ""
    reply = await server.call(endpoint.method, path + query, body)
    return reply.status, {k: v for k, v in reply.json.items() if k not in {"request_id", "job_id"}}


async def make(bench: Bench, server: HttpServer, name: str) -> None:
    """Make a queue and a schedule of that name."""
    await bench.enqueue(name)
    schedule = {"name": name, "queue": "q", "cron": "@daily"}
    assert (await server.post("/schedules", schedule)).status in {200, 201}


AMBIGUOUS = {"a/pause", "a/b/resume", "throttle/throttle"}
"""Names whose last part is a verb: without an escape it is read as the verb."""


def is_read_as_sent(endpoint: Endpoint, name: str) -> bool:
    """Return whether the unescaped `name` is not taken for another name or a verb."""
    has_verb = not endpoint.path.endswith(">")
    return has_verb or not (name.endswith("/") or name in AMBIGUOUS)


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        pytest.param(item, name, id=f"{item.method} {item.path} {name}")
        for item in ENDPOINTS
        for name in NAMES
        if is_read_as_sent(item, name)
    ],
)
async def test_unescaped_name_is_the_same_as_an_escaped_one(
    bench: Bench, server: HttpServer, endpoint: Endpoint, name: str
) -> None:
    prefix, _, rest = endpoint.path.partition("<")
    verb = rest.partition(">")[2]
    replies = []
    for path in (quote(name, safe=""), name):
        await make(bench, server, name)
        replies.append(await call(server, endpoint, f"{prefix}{path}{verb}"))
        await server.call("DELETE", f"/api/v1/schedules/{quote('new/name', safe='')}")
    escaped, unescaped = replies
    assert escaped[0] in {200, 201}, escaped
    assert unescaped[0] == escaped[0], unescaped
    assert unescaped[1].keys() == escaped[1].keys()
    assert unescaped[1].get("status") == escaped[1].get("status")
    assert unescaped[1].get("name") == escaped[1].get("name")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/queues/a/b/explode", 405),
        ("PUT", "/queues/a/b/pause", 405),
        ("POST", "/queues/a/b", 405),
        ("GET", "/queues/never/made", 404),
        ("GET", "/queues/never/made/", 404),
        ("POST", "/schedules/never/made/run", 404),
        ("POST", "/queues/a/b c/pause", 400),
        ("POST", "/queues//pause", 404),
        ("GET", "/jobs/a/b", 404),
        ("GET", "/nothing/a/b", 404),
    ],
)
async def test_other_paths_are_refused(
    server: HttpServer, method: str, path: str, status: int
) -> None:
    reply = await server.call(method, "/api/v1" + path.replace(" ", "%20"))
    assert reply.status == status, reply.body


async def test_refused_method_names_those_of_the_name(server: HttpServer) -> None:
    reply = await server.call("PUT", "/api/v1/queues/a/b/throttle")
    assert reply.headers["allow"] == "POST, DELETE"
