"""Webhooks: deliveries are made once from each event, and fetched in order per job."""

from typing import Any

import orjson
import pytest

from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_schema.webhooks import RotateSecretRequest, WebhookRequest, WebhookSettings
from corvo_server.engine.errors import CallError
from corvo_server.engine.webhook_feed import MAX_ATTEMPTS, Subscriber
from corvo_server.store.records import Event, LeasedJob
from corvo_server.store.webhooks import Deliveries, WebhookRecord
from server_support.bench import Bench, make_job

URL = "https://receiver.example/hook"
QUEUE = "corvo.webhooks.hook"


async def create(bench: Bench, name: str = "hook", **more: Any) -> WebhookRecord:
    request = WebhookRequest.model_validate({"name": name, "url": URL, **more})
    return await bench.engine.webhooks.create(request)


async def read_events(bench: Bench, after: int) -> list[Event]:
    events: list[Event] = []
    while chunk := await bench.store.read_events(events[-1].id if events else after, 100):
        events += chunk
    return events


async def feed(bench: Bench) -> bool:
    """Make the deliveries of all events so far, as the service does."""
    stored = [hook for hook in await bench.engine.webhooks.load() if hook.record.is_enabled]
    subscribers = [Subscriber(webhook) for webhook in stored]
    events = await read_events(bench, min(sub.position for sub in subscribers))
    return not events or await bench.engine.webhooks.handle(events, subscribers)


async def fetch(bench: Bench, count: int = 100) -> list[LeasedJob]:
    return await bench.fetch(QUEUE, count=count)


def told(job: LeasedJob) -> tuple[str, str]:
    """Return the job and the type of the event that a delivery tells of."""
    data = orjson.loads(job.payload)["data"]
    return data["job_id"], data["event"]


async def all_told(bench: Bench) -> list[tuple[str, str]]:
    """Fetch and ack deliveries until there are none. Return what they told."""
    found = []
    while jobs := await fetch(bench):
        for job in jobs:
            found.append(told(job))
            await bench.ack(job)
    return found


async def refusal(call: Any) -> CallError:
    with pytest.raises(CallError) as caught:
        await call
    return caught.value


async def test_each_event_becomes_one_delivery(bench: Bench) -> None:
    await bench.enqueue()  # before the webhook, so not told
    await create(bench)
    job = await bench.start(queue="a")
    await bench.ack(job)
    assert await feed(bench)
    assert await feed(bench)
    assert await all_told(bench) == [(job.head.id, t) for t in ("enqueued", "started", "completed")]
    assert await feed(bench)
    assert await all_told(bench) == []  # deliveries themselves are not told


async def test_body_of_a_delivery_tells_the_event(bench: Bench) -> None:
    record = await create(bench, types=["retrying"])
    job = await bench.start(queue="a")
    await bench.fail(job, "boom")
    await feed(bench)
    (delivery,) = await fetch(bench)
    body = orjson.loads(delivery.payload)
    assert (body["type"], body["timestamp"]) == ("job.retrying", body["data"]["created_at"])
    assert body["data"]["queue"] == "a"
    assert body["data"]["data"]["error"] == "boom"
    assert delivery.head.max_retries == MAX_ATTEMPTS
    assert orjson.loads(delivery.tags or "") == {"webhook": "hook", "webhook_id": record.id}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, {"emails.a", "emails.b", "other"}),
        ({"queues": ["emails.*"]}, {"emails.a", "emails.b"}),
        ({"queues": ["emails.b", "other"]}, {"emails.b", "other"}),
        ({"tags": {"team": "x"}}, {"emails.a"}),
        ({"tags": {"team": "x"}, "queues": ["other"]}, set()),
        ({"types": ["completed"]}, set()),
    ],
)
async def test_webhook_gets_the_events_that_match(
    bench: Bench, wanted: dict[str, Any], expected: set[str]
) -> None:
    await create(bench, **wanted)
    ids = {
        await bench.enqueue("emails.a", tags={"team": "x", "n": "1"}): "emails.a",
        await bench.enqueue("emails.b", tags={"team": "y"}): "emails.b",
        await bench.enqueue("other"): "other",
    }
    await feed(bench)
    assert {ids[job_id] for job_id, _ in await all_told(bench)} == expected


async def test_later_event_of_a_job_waits_for_an_earlier_one(bench: Bench) -> None:
    await create(bench)
    first, second = await bench.enqueue("a"), await bench.enqueue("b")
    await bench.engine.jobs.cancel(first)
    await bench.engine.jobs.cancel(second)
    await feed(bench)
    deliveries = await fetch(bench)
    assert [told(job) for job in deliveries] == [(first, "enqueued"), (second, "enqueued")]
    assert await fetch(bench) == []  # both jobs have an active delivery
    await bench.fail(deliveries[0], "no answer")
    await bench.ack(deliveries[1])
    (third,) = await fetch(bench)
    assert told(third) == (second, "cancelled")
    await bench.ack(third)
    assert await fetch(bench) == []  # the failed one waits for its next attempt
    await bench.tick(6_000)
    assert await all_told(bench) == [(first, "enqueued"), (first, "cancelled")]


async def test_delivery_that_is_given_back_stays_first(bench: Bench) -> None:
    await create(bench)
    job_id = await bench.enqueue("a")
    await bench.engine.jobs.cancel(job_id)
    await feed(bench)
    (delivery,) = await fetch(bench)
    await bench.release(delivery, delay=1_000)
    assert await fetch(bench) == []
    await bench.tick(1_000)
    (delivery,) = await fetch(bench)
    assert told(delivery) == (job_id, "enqueued")
    await bench.tick(61_000)  # its lease ends
    (again,) = await fetch(bench)
    assert again.head.id == delivery.head.id
    assert await fetch(bench) == []


async def test_dead_delivery_lets_the_next_one_go(bench: Bench) -> None:
    await create(bench)
    job_id = await bench.enqueue("a")
    await bench.engine.jobs.cancel(job_id)
    await feed(bench)
    (delivery,) = await fetch(bench)
    await bench.fail(delivery, "gone", retry=False)
    assert await bench.state(delivery) is JobState.DEAD
    assert await all_told(bench) == [(job_id, "cancelled")]


async def test_end_of_a_delivery_wakes_a_fetch_for_the_next(bench: Bench) -> None:
    await create(bench)
    job_id = await bench.enqueue("a")
    await bench.engine.jobs.cancel(job_id)
    await feed(bench)
    (delivery,) = await fetch(bench)
    waiting = await bench.waiting(QUEUE)
    await bench.ack(delivery)
    (following,) = await waiting
    assert told(following) == (job_id, "cancelled")


async def test_position_survives_a_restart(bench: Bench) -> None:
    await create(bench)
    first = await bench.enqueue("a")
    await feed(bench)
    await bench.restart()
    second = await bench.enqueue("a")
    await feed(bench)
    assert await all_told(bench) == [(first, "enqueued"), (second, "enqueued")]


async def test_two_servers_make_the_deliveries_of_an_event_once(bench: Bench) -> None:
    await create(bench)
    await bench.enqueue("a")
    subscribers = [Subscriber(webhook) for webhook in await bench.engine.webhooks.load()]
    late = [Subscriber(webhook) for webhook in await bench.engine.webhooks.load()]
    events = await read_events(bench, 0)
    assert await bench.engine.webhooks.handle(events, subscribers)
    assert not await bench.engine.webhooks.handle(events, late)
    assert len(await all_told(bench)) == 1


async def test_unwanted_events_move_the_position_in_the_end(bench: Bench) -> None:
    await create(bench, types=["dead"])
    before = (await bench.engine.webhooks.load())[0].position
    for _ in range(4):
        await bench.enqueue_batch(*[make_job("a") for _ in range(300)])
    await feed(bench)
    assert (await bench.engine.webhooks.load())[0].position >= before + 1_000


async def test_deliveries_are_committed_in_parts(bench: Bench) -> None:
    await create(bench)
    await bench.enqueue_batch(*[make_job("a") for _ in range(1_200)])
    commits = len(bench.commits)
    await feed(bench)
    assert len(bench.commits) == commits + 2
    assert (await bench.queue(QUEUE)).pending == 1_200


async def test_younger_webhook_does_not_get_older_events(bench: Bench) -> None:
    await create(bench)
    first = await bench.enqueue("a")
    await create(bench, "later")
    second = await bench.enqueue("a")
    await feed(bench)
    assert await all_told(bench) == [(first, "enqueued"), (second, "enqueued")]
    (job,) = await bench.fetch("corvo.webhooks.later", count=9)
    assert told(job) == (second, "enqueued")


async def test_disabled_webhook_skips_what_happens_meanwhile(bench: Bench) -> None:
    await create(bench)
    first = await bench.enqueue("a")
    await feed(bench)
    settings = {"url": URL, "queues": ["a"]}
    off = WebhookSettings.model_validate(settings | {"enabled": False})
    await bench.engine.webhooks.replace("hook", off)
    await bench.enqueue("a")
    record = await bench.engine.webhooks.replace("hook", WebhookSettings.model_validate(settings))
    assert record.is_enabled
    third = await bench.enqueue("a")
    await feed(bench)
    assert await all_told(bench) == [(first, "enqueued"), (third, "enqueued")]


async def test_receiver_that_is_gone_disables_its_webhook(bench: Bench) -> None:
    record = await create(bench)
    await bench.engine.webhooks.disable(record, "it answered 410")
    (found,) = await bench.engine.webhooks.list_all()
    assert (found.is_enabled, found.disabled_reason) == (False, "it answered 410")
    await bench.engine.webhooks.delete("hook")
    await create(bench)
    await bench.engine.webhooks.disable(record, "a late answer of the deleted one")
    (found,) = await bench.engine.webhooks.list_all()
    assert found.is_enabled


async def test_rotated_secret_is_used_beside_the_old_one(bench: Bench) -> None:
    old = await create(bench)
    new = await bench.engine.webhooks.rotate(
        "hook", RotateSecretRequest.model_validate({"grace": "1s"})
    )
    assert new.secret != old.secret
    now = bench.clock.now
    assert new.secrets(now + 999) == [new.secret, old.secret]
    assert new.secrets(now + 1_000) == [new.secret]
    at_once = await bench.engine.webhooks.rotate("hook", RotateSecretRequest())
    assert at_once.secrets(now) == [at_once.secret]


async def test_names_are_unique_and_must_exist(bench: Bench) -> None:
    await create(bench)
    assert (await refusal(create(bench))).code is ErrorCode.INVALID_STATE
    assert (await refusal(bench.engine.webhooks.delete("x"))).code is ErrorCode.NOT_FOUND
    rotate = bench.engine.webhooks.rotate("x", RotateSecretRequest())
    assert (await refusal(rotate)).code is ErrorCode.NOT_FOUND


async def test_number_of_webhooks_is_limited(bench: Bench) -> None:
    for number in range(100):
        await create(bench, f"hook-{number}")
    assert "100 webhooks" in (await refusal(create(bench, "more"))).message


async def test_positions_that_moved_make_no_deliveries(bench: Bench) -> None:
    await create(bench)
    assert not await bench.store.deliver(Deliveries({"hook": 999}, 1_000, []))
    assert not await bench.store.deliver(Deliveries({"unknown": 0}, 1_000, []))
