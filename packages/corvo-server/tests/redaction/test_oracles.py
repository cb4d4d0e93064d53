"""Callers below the role operator cannot find out secret values by asking for them."""

from typing import Any

import pytest

from corvo_schema import Role
from corvo_schema.search import SearchFilter
from corvo_server.auth.caller import Caller, set_caller
from corvo_server.engine.redaction import Redaction
from corvo_server.engine.search import job_filter
from corvo_server.redaction.rules import read_rule
from server_support.bench import Bench
from server_support.http import HttpServer, Reply
from server_support.secrets import CARD, PAYLOAD, SECRET, Secrets

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKING: list[dict[str, Any]] = [
    {"payload_contains": "411"},
    {"error_contains": "declined"},
    {"error_contains": "declined", "error_scope": "last"},
    {"unique_key": f"ack {SECRET}"},
    {"tags": {"a": "b"}},
    {"payload_jq": '.card.number == "4111"'},
    {"payload_jq": '.card["pin"] > 5'},
    {"payload_jq": ".card.old[0].x"},
    {"payload_jq": ".card | .number | length == 4"},
    {"payload_jq": '.note == "x" or not (.card.number | startswith("4"))'},
    {"payload_jq": ".card[0] == 1"},
]
"""Filters that could find out something in a queue with the rule `$.card.*`."""
HARMLESS: list[dict[str, Any]] = [
    {"payload_jq": '.note == "open"'},
    {"payload_jq": ".card and (.card | length == 3)"},
    {"payload_jq": ".cards.number == 1"},
    {"state": ["dead"], "has_errors": True, "attempt_min": 1},
    {"tags": {}},
]
SCOPES: list[dict[str, Any]] = [{"queue": "pay.a"}, {}]


async def search(server: HttpServer, body: dict[str, Any], *roles: str, **key: Any) -> Reply:
    headers = server.with_key(await server.new_key(*roles, **key))
    return await server.post("/jobs/search", body, headers=headers)


@pytest.mark.parametrize("roles", [["readonly"], ["producer"], ["producer", "worker"]])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("asking", ASKING)
async def test_filter_by_a_secret_value_is_refused(
    server: HttpServer,
    secrets: Secrets,
    asking: dict[str, Any],
    scope: dict[str, Any],
    roles: list[str],
) -> None:
    assert secrets.jobs
    reply = await search(server, asking | scope, *roles)
    assert (reply.status, reply.json["code"]) == (403, "FORBIDDEN")
    assert reply.json["details"][0]["field"] == next(iter(asking))
    assert "role operator" in reply.json["error"]
    assert "$.card.*" in reply.json["error"]
    elsewhere = await search(server, asking | {"queue": "open"}, *roles)
    assert elsewhere.status == 200


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("harmless", HARMLESS)
async def test_other_filters_are_allowed(
    server: HttpServer, secrets: Secrets, harmless: dict[str, Any], scope: dict[str, Any]
) -> None:
    assert secrets.jobs
    assert (await search(server, harmless | scope, "readonly")).status == 200


@pytest.mark.parametrize("asking", ASKING)
async def test_operators_may_search_by_everything(
    server: HttpServer, asking: dict[str, Any]
) -> None:
    assert (await search(server, asking, "operator")).status == 200


async def test_only_the_queues_of_the_key_count(server: HttpServer, secrets: Secrets) -> None:
    assert secrets.jobs
    asking = {"payload_contains": "4111"}
    assert (await search(server, asking, "readonly", queues=["open*"])).status == 200
    assert (await search(server, asking, "readonly", queues=["open*", "pay.*"])).status == 403


async def test_every_filter_is_decided_about() -> None:
    """A new filter must be put into one of these sets, or be refused."""
    of_texts = {"payload_contains", "error_contains", "unique_key", "tags", "payload_jq"}
    harmless = {
        *("queue", "state", "priority", "attempt_min", "attempt_max", "batch_id", "worker_id"),
        *("has_errors", "error_scope", "job_id_prefix"),
        *(
            f"{time}_{end}"
            for time in ("created", "scheduled", "started", "completed", "failed", "expire")
            for end in ("after", "before")
        ),
    }
    assert set(SearchFilter.model_fields) == of_texts | harmless


async def test_bulk_is_for_operators(server: HttpServer) -> None:
    body = {"filter": {"payload_contains": "4111"}, "action": "cancel"}
    for role in ("readonly", "producer", "worker"):
        headers = server.with_key(await server.new_key(role))
        assert (await server.post("/jobs/bulk", body, headers=headers)).status == 403


WRONG = {**PAYLOAD, "card": {**CARD, "pin": 1}}
OTHER = {**PAYLOAD, "note": "other"}


@pytest.mark.parametrize("queue", ["pay.same", "open.other"])
@pytest.mark.parametrize("is_batch", [False, True])
async def test_repeated_enqueue_does_not_tell_whether_a_guess_is_right(
    server: HttpServer, bench: Bench, queue: str, is_batch: bool
) -> None:
    job_id = await bench.enqueue("pay.same", payload=PAYLOAD)
    headers = server.with_key(await server.new_key("producer"))

    async def enqueue(payload: Any, headers: dict[str, str]) -> tuple[int, Any]:
        job = {"queue": queue, "payload": payload, "job_id": job_id}
        path, body = ("/enqueue/batch", {"jobs": [job]}) if is_batch else ("/enqueue", job)
        reply = await server.post(path, body, headers=headers)
        return reply.status, {**reply.json, "request_id": None}

    right = await enqueue(PAYLOAD, headers)
    assert right[0] == (409 if queue != "pay.same" else 201 if is_batch else 200)
    assert await enqueue(WRONG, headers) == right
    assert (await enqueue(OTHER, headers))[0] == 409
    assert "another payload" in (await enqueue(OTHER, headers))[1]["error"]
    assert "another payload" in (await enqueue(WRONG, server.headers))[1]["error"]
    record = await bench.job(job_id)
    assert '"pin":987654321' in record.payload


async def test_new_job_is_stored_as_sent_if_its_id_was_read_before(
    server: HttpServer, bench: Bench
) -> None:
    job_id = await bench.enqueue("pay.gone", payload=PAYLOAD)
    headers = server.with_key(await server.new_key("producer"))
    find = bench.store.find_jobs

    async def find_then_delete(*args: Any, **options: Any) -> Any:
        found = await find(*args, **options)
        await bench.engine.jobs.delete(job_id)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.store, "find_jobs", find_then_delete)
        body = {"queue": "pay.gone", "payload": WRONG, "job_id": job_id}
        reply = await server.post("/enqueue", body, headers=headers)
    assert reply.status == 201
    assert '"pin":1' in (await bench.job(job_id)).payload


async def test_search_is_limited_to_the_queues_that_were_checked(bench: Bench) -> None:
    # Otherwise it would find jobs of a queue with a rule that is created meanwhile.
    await bench.enqueue("open")
    known = {queue.name for queue in await bench.store.list_queues()}
    set_caller(Caller("reader", frozenset({Role.READONLY})))
    redaction = Redaction([read_rule("later:$.a")])
    asking = SearchFilter(payload_contains="x")
    wanted = await redaction.searchable(asking, job_filter(asking), bench.store)
    assert wanted.queues == known
