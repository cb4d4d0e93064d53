"""Any number in any field of a request gets a 2xx, or a 4xx that names the field."""

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from corvo_schema import Progress, SearchFilter
from corvo_schema.attempts import AckItem, FailItem, HeartbeatJob, ReleaseItem
from corvo_schema.batches import BatchOptions
from corvo_schema.jobs import EnqueueRequest
from corvo_server.app import RESOURCES
from corvo_server.http.endpoint import API_PREFIX
from server_support.http import HttpServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

Path = tuple[str | int, ...]

NOBODY = "job_00000000000000000000000000"
JOB = {"queue": "numbers"}
FETCH = {"queues": ["no-jobs"], "worker_id": "w", "timeout": 0}
SCHEDULE = {"name": "numbers", "queue": "numbers", "cron": "@daily"}
BULK = {"action": "cancel", "filter": {"queue": "no-jobs"}}
BODIES: dict[str, tuple[dict[str, Any], dict[Path, type[BaseModel]]]] = {
    "POST /enqueue": (JOB, {}),
    "POST /enqueue/batch": (
        {"jobs": [JOB], "batch": {"callback_queue": "numbers"}},
        {("jobs", 0): EnqueueRequest, ("batch",): BatchOptions},
    ),
    "POST /fetch": (FETCH, {}),
    "POST /fetch/batch": (FETCH, {}),
    "POST /ack/{job_id}": ({}, {}),
    "POST /ack/batch": ({"acks": [{"job_id": NOBODY}]}, {("acks", 0): AckItem}),
    "POST /fail/{job_id}": ({"error": "e"}, {}),
    "POST /fail/batch": ({"fails": [{"job_id": NOBODY, "error": "e"}]}, {("fails", 0): FailItem}),
    "POST /release/{job_id}": ({}, {}),
    "POST /release/batch": ({"releases": [{"job_id": NOBODY}]}, {("releases", 0): ReleaseItem}),
    "POST /heartbeat": (
        {"jobs": {NOBODY: {"progress": {}}}},
        {("jobs", NOBODY): HeartbeatJob, ("jobs", NOBODY, "progress"): Progress},
    ),
    "POST /jobs/bulk": (BULK, {("filter",): SearchFilter}),
    "POST /jobs/bulk-get": ({"job_ids": []}, {}),
    "POST /jobs/search": ({}, {}),
    "POST /jobs/{job_id}/move": (JOB, {}),
    "POST /jobs/{job_id}/priority": ({"priority": 1}, {}),
    "POST /queues/{name}/concurrency": ({"max": 1}, {}),
    "POST /queues/{name}/throttle": ({"rate": 1}, {}),
    "PUT /queues/{name}/defaults": ({"max_retries": 1}, {}),
    "POST /schedules": (SCHEDULE, {}),
    "POST /auth/keys": ({"name": "numbers", "roles": ["admin"]}, {}),
    "POST /auth/keys/{key}/rotate": ({}, {}),
    "PUT /schedules/{schedule}": (SCHEDULE, {}),
    "POST /webhooks": ({"name": "numbers", "url": "https://numbers.example/"}, {}),
    "PUT /webhooks/{name}": ({"url": "https://numbers.example/"}, {}),
    "POST /webhooks/{name}/rotate": ({}, {}),
    "POST /webhook-sources": ({"name": "numbers", "queue": "numbers"}, {}),
    "POST /webhook-sources/{name}/rotate": ({}, {}),
}
"""By endpoint a valid body, and the models of the objects within it."""

NAMES = {"job_id": NOBODY, "name": "numbers", "schedule": "numbers", "key": "numbers"}
DOCUMENTS = {"payload", "result", "checkpoint", "callback_payload"}
NUMBERS = (
    st.sampled_from([1e308, -1e308, 5e-324, -0.0, 1.0, 1e22, 2**31, 2**53, 2**63, 2**64, 10**309])
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(0, 4e8)
)


class Case(NamedTuple):
    """A field of a request."""

    endpoint: str
    path: Path

    def __str__(self) -> str:
        return f"{self.endpoint}:{'.'.join(map(str, self.path))}"


def requests() -> dict[str, type[BaseModel]]:
    """Return the model of each endpoint that has a body."""
    return {
        f"{endpoint.method} {path.removeprefix(API_PREFIX)}": endpoint.request
        for resource in RESOURCES
        for endpoint in resource.endpoints
        if endpoint.request is not None
        for path in [endpoint_path(endpoint.path)]
    }


def endpoint_path(path: str) -> str:
    return path.replace(":str>", "}").replace("<", "{")


def cases() -> Iterator[Case]:
    """Yield every field of every request."""
    for endpoint, model in requests().items():
        for place, part in {(): model, **BODIES[endpoint][1]}.items():
            for name, field in part.model_fields.items():
                yield Case(endpoint, (*place, field.alias or name))


CASES = list(cases())


def with_number(case: Case, number: float) -> bytes:
    """Return the endpoint's body with a number in the field."""
    body = copy.deepcopy(BODIES[case.endpoint][0])
    parent: Any = body
    for step in case.path[:-1]:
        parent = parent[step]
    parent[case.path[-1]] = number
    return json.dumps(body).encode()


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(number=NUMBERS)
@pytest.mark.parametrize("case", CASES, ids=map(str, CASES))
async def test_any_number_is_accepted_or_its_field_is_named(
    server: HttpServer, case: Case, number: float
) -> None:
    if case.path[-1] == "timeout":
        assume(not 0 < number <= 60)  # the fetch would wait for so many seconds
    await server.require_keys()
    method, path = case.endpoint.format(**NAMES).split()
    reply = await server.call(method, API_PREFIX + path, with_number(case, number))
    if reply.status == 400:
        fields = [detail["field"] for detail in reply.json["details"]]
        assert any(named(case, field) for field in fields), fields
    else:
        # The job does not exist, the field takes any document, or a key has that name already.
        assert reply.status in {200, 201, 202, 204, 404, 409}, (reply.status, reply.body)


def named(case: Case, field: str) -> bool:
    """Return whether a reply names the field, an object around it, or a body that is not JSON."""
    return field == "body" or str(case.path[-1]) in field or field.startswith(str(case.path[0]))


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
async def test_first_and_last_times_are_accepted(server: HttpServer, time: str) -> None:
    job = {"queue": "times", "scheduled_at": time, "expire_after": "3650d"}
    reply = await server.post("/enqueue", job)
    assert reply.status == 201
    assert (await server.get(f"/jobs/{reply.json['job_id']}")).status == 200
    for name in SearchFilter.model_fields:
        if name.endswith(("_after", "_before")):
            assert (await server.post("/jobs/search", {name: time})).status == 200
