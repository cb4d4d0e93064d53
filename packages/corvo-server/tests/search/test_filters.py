"""Every filter of a search, alone and combined."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from corvo_schema.states import JobState
from corvo_schema.timestamps import format_ms
from corvo_server.engine.search import Page
from server_support.bench import Bench, make_job
from server_support.clock import START

Find = Callable[..., Awaitable[Page]]

ODD = "a.b\"'\\ $[0] %_ é\n"
HOUR = 3_600_000


@pytest.fixture
async def names(bench: Bench) -> dict[str, str]:
    """Store jobs of every kind, one second apart; return their names by id."""
    ids: dict[str, str] = {}

    def note(name: str, job_id: str) -> None:
        ids[job_id] = name
        bench.clock.forward(1000)

    note(
        "pending",
        await bench.enqueue(
            payload={"to": "ada@example.org", "note": "50%_off", "n": 1},
            tags={"customer": "c1", ODD: "x%_'\""},
            priority="high",
            unique_key="order:1%",
        ),
    )
    note(
        "scheduled", await bench.enqueue("later", at=START + HOUR, tags={"customer": "c1", "b": ""})
    )
    (batch, batch_id) = await bench.enqueue_batch(
        make_job("batch", payload={"n": 2}), callback="done"
    )
    bench.batch_id = batch_id
    note("batched", batch[0].job_id)
    note("expiring", await bench.enqueue("expiring", expire_after="2h"))
    note("active", (await bench.start(queue="work", worker="worker-7")).head.id)
    for state in (JobState.COMPLETED, JobState.CANCELLED):
        note(state.value, await bench.bring_to(state, queue=state.value, tags={"customer": "c2"}))
    job = await bench.start(queue="retrying", payload={"text": 'Größe "XL"'})
    await bench.fail(job, "TimeoutError: 50%_ of http://host/")
    note("retrying", job.head.id)
    job = await bench.start(queue="dead", payload=["Größe"])
    await bench.fail(job, "boom", retry=False)
    note("dead", job.head.id)
    return ids


def at(second: float) -> str:
    return format_ms(START + int(second * 1000))


ALL = {
    "pending",
    "scheduled",
    "batched",
    "expiring",
    "active",
    "completed",
    "cancelled",
    "retrying",
    "dead",
}

FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, ALL),
    ({"queue": "mail"}, {"pending"}),
    ({"queue": "mai"}, set()),
    ({"state": ["dead"]}, {"dead"}),
    ({"state": ["active", "completed", "scheduled"]}, {"active", "completed", "scheduled"}),
    ({"state": []}, ALL),
    ({"priority": "high"}, {"pending"}),
    ({"priority": 2}, ALL - {"pending"}),
    ({"tags": {"customer": "c1"}}, {"pending", "scheduled"}),
    ({"tags": {"customer": "c"}}, set()),
    ({"tags": {"customer": "c1", "b": ""}}, {"scheduled"}),
    ({"tags": {ODD: "x%_'\""}}, {"pending"}),
    ({"tags": {ODD: "x%%'\""}}, set()),
    ({"payload_contains": "50%_off"}, {"pending"}),
    ({"payload_contains": "5_%"}, set()),
    ({"payload_contains": "Größe"}, {"retrying", "dead"}),
    ({"payload_contains": 'Größe "XL"'}, {"retrying"}),
    ({"payload_contains": '"n":'}, {"pending", "batched"}),
    ({"payload_jq": ".n"}, {"pending", "batched"}),
    ({"payload_jq": '.note | contains("%_")'}, {"pending"}),
    ({"payload_jq": ".n == 2 or .n == null"}, ALL - {"pending"}),
    ({"created_after": at(0)}, ALL - {"pending"}),
    ({"created_after": at(0.999), "created_before": at(2)}, {"scheduled"}),
    ({"created_before": at(1)}, {"pending"}),
    ({"created_after": at(100)}, set()),
    ({"created_before": at(-1)}, set()),
    ({"scheduled_after": at(0)}, {"scheduled", "retrying"}),
    ({"scheduled_after": at(3600)}, set()),
    ({"scheduled_before": at(3600)}, {"retrying"}),
    ({"started_after": at(4.5)}, {"completed", "retrying", "dead"}),
    ({"started_before": at(4.5)}, {"active"}),
    ({"completed_after": at(0)}, {"completed"}),
    ({"completed_before": at(100), "completed_after": at(4.999)}, {"completed"}),
    ({"completed_before": at(5)}, set()),
    ({"completed_after": at(0), "state": ["dead"]}, set()),
    ({"completed_after": at(0), "queue": "completed"}, {"completed"}),
    ({"completed_after": at(0), "queue": "mail"}, set()),
    ({"failed_after": at(0)}, {"retrying", "dead"}),
    ({"failed_before": at(0)}, set()),
    ({"expire_after": at(0)}, {"expiring"}),
    ({"expire_before": at(7203)}, set()),
    ({"attempt_min": 1}, {"active", "completed", "retrying", "dead"}),
    ({"attempt_max": 0}, {"pending", "scheduled", "batched", "expiring", "cancelled"}),
    ({"unique_key": "order:1%"}, {"pending"}),
    ({"unique_key": "order:1"}, set()),
    ({"batch_id": "batch_0"}, set()),
    ({"worker_id": "worker-7"}, {"active"}),
    ({"has_errors": True}, {"retrying", "dead"}),
    ({"has_errors": False}, ALL - {"retrying", "dead"}),
    ({"error_contains": "50%_ of http"}, {"retrying"}),
    ({"error_contains": "5_%"}, set()),
    ({"error_contains": "BOOM"}, set()),
    ({"error_contains": "boom", "has_errors": False}, set()),
    ({"job_id_prefix": "job_"}, ALL),
    ({"job_id_prefix": "ob_"}, set()),
    ({"job_id_prefix": "job%"}, set()),
    ({"queue": "mail", "state": ["pending"], "tags": {"customer": "c1"}}, {"pending"}),
    ({"queue": "mail", "state": ["dead"], "tags": {"customer": "c1"}}, set()),
    (
        {
            "queue": "retrying",
            "state": ["retrying", "dead"],
            "priority": "normal",
            "payload_contains": "XL",
            "payload_jq": ".text",
            "attempt_min": 1,
            "attempt_max": 1,
            "has_errors": True,
            "error_contains": "Timeout",
            "created_after": at(6),
            "scheduled_after": at(7),
        },
        {"retrying"},
    ),
]


async def test_every_filter_finds_what_matches(find: Find, names: dict[str, str]) -> None:
    for fields, expected in FILTERS:
        page = await find(**fields)
        assert {names[job.head.id] for job in page.jobs} == expected, fields
        assert (page.total.jobs, page.total.is_exact) == (len(expected), True), fields
        assert page.cursor is None


async def test_filters_find_the_same_in_any_order(find: Find, names: dict[str, str]) -> None:
    for fields, expected in FILTERS:
        for sort in ("completed_at", "scheduled_at", "queue"):
            page = await find(**fields, sort=sort, order="asc")
            assert {names[job.head.id] for job in page.jobs} == expected, (fields, sort)


async def test_a_batch_and_a_prefix_of_an_id_are_found(
    bench: Bench, find: Find, names: dict[str, str]
) -> None:
    (job,) = (await find(batch_id=bench.batch_id)).jobs
    assert names[job.head.id] == "batched"
    for prefix in (job.head.id, job.head.id[:-1]):
        assert job.head.id in {found.head.id for found in (await find(job_id_prefix=prefix)).jobs}
    assert (await find(job_id_prefix=job.head.id + "0")).jobs == []
    assert (await find(job_id_prefix=job.head.id.lower())).jobs == []


async def test_a_tag_is_not_found_within_other_tags(bench: Bench, find: Find) -> None:
    await bench.enqueue(tags={"a": ":", "b": "c", 'd":"e': "f", "g\\": "\\h"})
    for tags in ({":": ","}, {"d": "e"}, {"a": ":,"}, {"b": "C"}, {"g": "h"}, {"c": "b"}):
        assert (await find(tags=tags)).jobs == [], tags
    for tags in ({"a": ":"}, {'d":"e': "f"}, {"g\\": "\\h"}):
        assert len((await find(tags=tags)).jobs) == 1, tags


async def test_errors_of_earlier_attempts_are_searched(bench: Bench, find: Find) -> None:
    job = await bench.start()
    await bench.fail(job, "first")
    await bench.tick(HOUR)
    job = await bench.fetch_one()
    await bench.ack(job)
    (found,) = (await find(has_errors=True, error_contains="first", state=["completed"])).jobs
    assert [failure.error for failure in found.failures] == ["first"]


async def test_the_scope_last_leaves_out_errors_of_earlier_attempts(
    bench: Bench, find: Find
) -> None:
    """Each of the jobs has failed with "first"; some have failed, run or succeeded since."""
    jobs = {}
    for name in ("dead", "retrying", "completed", "active"):
        await bench.enqueue(name, max_retries=2)
        job = await bench.fetch_one(name)
        await bench.fail(job, "first")
        jobs[job.head.id] = name
    await bench.tick(HOUR)
    for name in ("dead", "completed", "active"):
        job = await bench.fetch_one(name)
        if name == "dead":
            await bench.fail(job, "second")
        elif name == "completed":
            await bench.ack(job)

    async def names(**fields: Any) -> set[str]:
        found = (await find(**fields, queue=None)).jobs
        return {jobs[job.head.id] for job in found if job.head.id in jobs}

    assert await names(error_contains="first") == set(jobs.values())
    assert await names(error_contains="first", error_scope="last") == {"retrying"}
    assert await names(error_contains="second", error_scope="last") == {"dead"}
    assert await names(has_errors=True, error_scope="last") == {"retrying", "dead"}
    assert await names(has_errors=False, error_scope="last") == {"completed", "active"}


async def test_escaped_payloads_are_found_by_plain_text(bench: Bench, find: Find) -> None:
    for payload in (b'{"x":"\\u00e9\\u20ac"}', '{"x":"é€"}'.encode()):
        request, _ = make_job()
        await bench.engine.jobs.enqueue(request, payload)
    assert len((await find(payload_contains="é€")).jobs) == 2
    assert len((await find(payload_jq='.x == "é€"')).jobs) == 2


async def test_jobs_are_found_in_the_state_they_have_now(bench: Bench, find: Find) -> None:
    job_id = await bench.enqueue(tags={"a": "1"})
    for state in ("pending", "active", "completed"):
        if state == "active":
            job = await bench.fetch_one()
        elif state == "completed":
            await bench.ack(job)
        for other in JobState:
            found = (await find(state=[other], queue="mail", tags={"a": "1"})).jobs
            assert [item.head.id for item in found] == ([job_id] if other == state else [])
