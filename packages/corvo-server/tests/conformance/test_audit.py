"""The audit log: which call records what, in one commit with its change, and who sees it."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corvo_schema import (
    ApiKeyRequest,
    BulkRequest,
    JobOptions,
    Role,
    RotateKeyRequest,
    ScheduleRequest,
)
from corvo_schema.audit import AuditOperation as Op
from corvo_schema.states import EventType, JobState, Priority
from corvo_schema.webhooks import (
    RotateSecretRequest,
    WebhookRequest,
    WebhookSettings,
    WebhookSourceRequest,
)
from corvo_server.auth.caller import SERVER, Caller, Origin, set_caller, set_origin
from corvo_server.auth.scope import Scope
from corvo_server.engine.engine import Engine, Policy
from corvo_server.engine.errors import CallError
from corvo_server.engine.keys import Keys
from corvo_server.engine.maintenance import Retention
from corvo_server.store.audit import AuditEntry, AuditFilter
from corvo_server.store.protocol import StoreError
from server_support.bench import QUEUE, Bench

DAY = 86_400_000
ALICE = Caller("alice", frozenset({Role.OPERATOR, Role.PRODUCER}), "corvo_alice0000000")
ADMIN = Caller("root", frozenset({Role.ADMIN}), "corvo_root00000000")


@pytest.fixture(autouse=True)
def called_by_alice(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let alice make all calls of a test, but those of `as_server`."""
    # The callers of these tests are made up: the store has no keys of theirs.
    monkeypatch.setattr(Keys, "is_valid", lambda *_: True)
    set_caller(ALICE)
    set_origin(Origin("192.0.2.7", "request-1"))
    yield
    set_caller(SERVER)
    set_origin(Origin())


async def entries(bench: Bench, limit: int = 1000, **wanted: Any) -> list[AuditEntry]:
    """Return all matching entries, oldest first."""
    return (await bench.store.list_audit(AuditFilter(**wanted), None, limit))[::-1]


def values(text: str | None) -> dict[str, Any] | None:
    return None if text is None else orjson.loads(text)


def schedule(**fields: Any) -> ScheduleRequest:
    return ScheduleRequest.model_validate(
        {"name": "nightly", "queue": QUEUE, "cron": "@daily", **fields}
    )


async def make_schedule(bench: Bench) -> str:
    await bench.engine.schedules.put(schedule(), b'{"card":"4111"}')
    return "nightly"


async def make_key(bench: Bench) -> str:
    request = ApiKeyRequest.model_validate({"name": "first", "roles": ["admin"]})
    record, _ = await bench.engine.keys.create(request)
    return record.id


HOOK = "https://receiver.example/path-4111"


def webhook() -> WebhookRequest:
    return WebhookRequest.model_validate({"name": "hook", "url": HOOK})


def source() -> WebhookSourceRequest:
    return WebhookSourceRequest.model_validate({"name": "shop", "queue": QUEUE, "form": "github"})


async def make_webhook(bench: Bench) -> str:
    return (await bench.engine.webhooks.create(webhook())).name


async def make_source(bench: Bench) -> str:
    return (await bench.engine.webhook_sources.create(source())).name


def no_target(name: str) -> Callable[[Bench], Awaitable[str]]:
    async def make(_: Bench) -> str:
        return name

    return make


def make_job_in(state: JobState) -> Callable[[Bench], Awaitable[str]]:
    async def make(bench: Bench) -> str:
        return await bench.bring_to(state)

    return make


async def make_queue(bench: Bench) -> str:
    await bench.enqueue()
    return QUEUE


async def make_bulk(bench: Bench) -> str:
    await bench.enqueue()
    request = {"action": "cancel", "filter": {"queue": QUEUE}, "async": True}
    record = await bench.engine.bulk.run(BulkRequest.model_validate(request))
    assert not hasattr(record, "seconds")
    return record.id  # type: ignore[union-attr]


def bulk(**fields: Any) -> Callable[[Engine, str], Awaitable[Any]]:
    async def run(engine: Engine, target: str) -> Any:
        request = {"action": "cancel", **fields}
        if "filter" not in request:
            request["job_ids"] = [target]
        return await engine.bulk.run(BulkRequest.model_validate(request))

    return run


Call = Callable[[Engine, str], Awaitable[Any]]
CALLS: dict[Op, tuple[Callable[[Bench], Awaitable[str]], Call]] = {
    Op.PAUSE_QUEUE: (make_queue, lambda e, t: e.queues.pause(t)),
    Op.RESUME_QUEUE: (make_queue, lambda e, t: e.queues.resume(t)),
    Op.DRAIN_QUEUE: (make_queue, lambda e, t: e.queues.drain(t)),
    Op.CLEAR_QUEUE: (make_queue, lambda e, t: e.queues.clear(t)),
    Op.DELETE_QUEUE: (make_queue, lambda e, t: e.queues.delete(t)),
    Op.LIMIT_QUEUE: (make_queue, lambda e, t: e.queues.limit_both(t, 5, 1)),
    Op.THROTTLE_QUEUE: (make_queue, lambda e, t: e.queues.throttle(t, 5, 1000)),
    Op.UNTHROTTLE_QUEUE: (make_queue, lambda e, t: e.queues.throttle(t, None, None)),
    Op.SET_DEFAULTS: (
        make_queue,
        lambda e, t: e.queues.set_defaults(t, JobOptions(max_retries=7), b'{"type":"object"}'),
    ),
    Op.CLEAR_DEFAULTS: (make_queue, lambda e, t: e.queues.set_defaults(t, JobOptions(), None)),
    Op.CANCEL_JOB: (make_job_in(JobState.PENDING), lambda e, t: e.jobs.cancel(t)),
    Op.RETRY_JOB: (make_job_in(JobState.DEAD), lambda e, t: e.jobs.retry(t)),
    Op.REQUEUE_JOB: (make_job_in(JobState.DEAD), lambda e, t: e.jobs.requeue(t)),
    Op.MOVE_JOB: (make_job_in(JobState.PENDING), lambda e, t: e.jobs.move(t, "other")),
    Op.CHANGE_PRIORITY: (
        make_job_in(JobState.PENDING),
        lambda e, t: e.jobs.change_priority(t, Priority.HIGH),
    ),
    Op.DELETE_JOB: (make_job_in(JobState.PENDING), lambda e, t: e.jobs.delete(t)),
    Op.BULK: (make_job_in(JobState.PENDING), bulk()),
    Op.CANCEL_BULK: (make_bulk, lambda e, t: e.bulk.cancel(t)),
    Op.END_BULK: (make_bulk, lambda e, t: e.bulk.step()),
    Op.PUT_SCHEDULE: (make_queue, lambda e, t: e.schedules.put(schedule(), b'{"card":"4111"}')),
    Op.REPLACE_SCHEDULE: (
        make_schedule,
        lambda e, t: e.schedules.replace(t, schedule(cron="@hourly"), b'{"card":"4222"}'),
    ),
    Op.DELETE_SCHEDULE: (make_schedule, lambda e, t: e.schedules.delete(t)),
    Op.PAUSE_SCHEDULE: (make_schedule, lambda e, t: e.schedules.pause(t)),
    Op.RESUME_SCHEDULE: (make_schedule, lambda e, t: e.schedules.resume(t)),
    Op.RUN_SCHEDULE: (make_schedule, lambda e, t: e.schedules.run(t)),
    Op.CREATE_KEY: (
        make_key,
        lambda e, t: e.keys.create(ApiKeyRequest(name="w", roles=[Role.WORKER])),
    ),
    Op.ROTATE_KEY: (make_key, lambda e, t: e.keys.rotate(t, RotateKeyRequest())),
    Op.REVOKE_KEY: (make_key, lambda e, t: e.keys.revoke(t, may_lock_out=True)),
    Op.CREATE_WEBHOOK: (no_target("hook"), lambda e, t: e.webhooks.create(webhook())),
    Op.REPLACE_WEBHOOK: (
        make_webhook,
        lambda e, t: e.webhooks.replace(t, WebhookSettings(url=f"{HOOK}/other", enabled=False)),
    ),
    Op.ROTATE_WEBHOOK: (make_webhook, lambda e, t: e.webhooks.rotate(t, RotateSecretRequest())),
    Op.DELETE_WEBHOOK: (make_webhook, lambda e, t: e.webhooks.delete(t)),
    Op.CREATE_WEBHOOK_SOURCE: (
        no_target("shop"),
        lambda e, t: e.webhook_sources.create(source()),
    ),
    Op.ROTATE_WEBHOOK_SOURCE: (
        make_source,
        lambda e, t: e.webhook_sources.rotate(t, RotateSecretRequest()),
    ),
    Op.DELETE_WEBHOOK_SOURCE: (make_source, lambda e, t: e.webhook_sources.delete(t)),
}
"""For each operation: what its target is, and the call. Both are of the engine."""

BEFORE_AND_AFTER: dict[Op, tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]] = {
    Op.PAUSE_QUEUE: ({"is_paused": False}, {"is_paused": True, "is_draining": False}),
    Op.DRAIN_QUEUE: ({"is_draining": False}, {"is_paused": True, "is_draining": True}),
    Op.CLEAR_QUEUE: ({}, {"deleted": 1}),
    Op.DELETE_QUEUE: ({}, {"deleted": 1}),
    Op.LIMIT_QUEUE: ({"max_concurrency": None}, {"max_concurrency": 5, "max_per_key": 1}),
    Op.THROTTLE_QUEUE: ({"rate_limit": None}, {"rate_limit": 5, "rate_window": "1s"}),
    Op.SET_DEFAULTS: ({"defaults": None}, {"defaults": {"max_retries": 7}}),
    Op.CANCEL_JOB: ({"state": "pending"}, {"state": "cancelled"}),
    Op.RETRY_JOB: ({"state": "dead", "attempt": 1}, {"state": "pending", "attempt": 0}),
    Op.REQUEUE_JOB: ({"state": "dead"}, {"state": "pending", "max_retries": 2}),
    Op.MOVE_JOB: ({"queue": QUEUE}, {"queue": "other"}),
    Op.CHANGE_PRIORITY: ({"priority": "normal"}, {"priority": "high"}),
    Op.DELETE_JOB: ({"state": "pending"}, None),
    Op.BULK: (None, {"action": "cancel", "jobs": 1, "affected": 1, "errors": 0}),
    Op.CANCEL_BULK: ({"status": "queued"}, {"status": "cancelled"}),
    Op.END_BULK: ({"status": "queued"}, {"status": "completed", "affected": 1}),
    Op.PUT_SCHEDULE: (None, {"cron": "@daily", "queue": QUEUE}),
    Op.REPLACE_SCHEDULE: ({"cron": "@daily"}, {"cron": "@hourly", "is_payload_changed": True}),
    Op.DELETE_SCHEDULE: ({"name": "nightly"}, None),
    Op.PAUSE_SCHEDULE: ({"is_paused": False}, {"is_paused": True, "is_payload_changed": False}),
    Op.RUN_SCHEDULE: (None, {"is_duplicate": False}),
    Op.CREATE_KEY: (None, {"name": "w", "roles": ["worker"], "queues": None}),
    Op.REVOKE_KEY: ({"revoked_at": None}, {"name": "first"}),
    Op.CREATE_WEBHOOK: (None, {"receiver": "https://receiver.example", "enabled": True}),
    Op.REPLACE_WEBHOOK: ({"enabled": True}, {"enabled": False}),
    Op.DELETE_WEBHOOK: ({"queues": None}, None),
    Op.CREATE_WEBHOOK_SOURCE: (None, {"queue": QUEUE, "form": "github"}),
    Op.DELETE_WEBHOOK_SOURCE: ({"form": "github"}, None),
}
WITHOUT_ENTRY = {Op.CLEAR_DEFAULTS}
"""Calls of `CALLS` that find what they set, and do not record that."""
TARGETS = {Op.PUT_SCHEDULE: "nightly", Op.BULK: None}


def test_every_operation_has_a_call() -> None:
    assert set(CALLS) == set(Op)


@pytest.mark.parametrize("operation", sorted(set(CALLS) - WITHOUT_ENTRY))
async def test_call_records_who_did_what(bench: Bench, operation: Op) -> None:
    prepare, call = CALLS[operation]
    target = await prepare(bench)
    known = len(await entries(bench))
    await call(bench.engine, target)
    entry, *more = (await entries(bench))[known:]
    assert bool(more) is (operation is Op.ROTATE_KEY)
    assert entry.operation == operation
    assert (entry.actor, entry.key_id, entry.roles) == (
        "alice",
        "corvo_alice0000000",
        ("operator", "producer"),
    )
    assert (entry.address, entry.request_id, entry.outcome) == ("192.0.2.7", "request-1", "done")
    assert entry.at == bench.clock.now
    if operation not in {Op.CREATE_KEY, Op.ROTATE_KEY}:  # these make their target
        assert entry.target == TARGETS.get(operation, target)
    before, after = BEFORE_AND_AFTER.get(operation, ({}, {}))
    for expected, stored in ((before, values(entry.before)), (after, values(entry.after))):
        if expected is None:
            assert stored is None
        elif operation in BEFORE_AND_AFTER:
            assert stored is not None
            assert expected.items() <= stored.items()
    assert bench.kit.find_problems() == []


@pytest.mark.parametrize("operation", CALLS)
async def test_entry_is_in_the_commit_of_its_change(bench: Bench, operation: Op) -> None:
    prepare, call = CALLS[operation]
    target = await prepare(bench)
    known = len(await entries(bench))
    with bench.kit.break_commits(bench.store), pytest.raises(StoreError):
        await call(bench.engine, target)
    assert len(await entries(bench)) == known
    await call(bench.engine, target)
    found = await entries(bench)
    assert (len(found) > known) is (operation not in WITHOUT_ENTRY)


@pytest.mark.parametrize("operation", CALLS)
async def test_no_entry_has_a_payload_or_a_key(bench: Bench, operation: Op) -> None:
    prepare, call = CALLS[operation]
    result = await call(bench.engine, await prepare(bench))
    stored = repr(await entries(bench))
    assert "4111" not in stored
    assert "4222" not in stored
    if operation in {Op.CREATE_KEY, Op.ROTATE_KEY}:
        assert result[1] not in stored
        assert result[0].hash.hex() not in stored


@pytest.mark.parametrize(
    ("prepare", "call", "queue"),
    [
        (make_job_in(JobState.COMPLETED), lambda e, t: e.jobs.cancel(t), QUEUE),
        (make_job_in(JobState.ACTIVE), lambda e, t: e.jobs.delete(t), QUEUE),
        (make_job_in(JobState.ACTIVE), lambda e, _: e.queues.delete(QUEUE), QUEUE),
        (make_key, lambda e, t: e.keys.revoke(t), None),
    ],
    ids=["cancel", "delete", "delete queue", "last admin"],
)
async def test_refusal_by_a_rule_is_recorded(
    bench: Bench, prepare: Callable[[Bench], Awaitable[str]], call: Call, queue: str | None
) -> None:
    target = await prepare(bench)
    known = len(await entries(bench))
    with pytest.raises(CallError):
        await call(bench.engine, target)
    (entry,) = (await entries(bench))[known:]
    assert (entry.outcome, entry.queue, entry.after) == ("INVALID_STATE", queue, None)


async def test_entry_of_a_webhook_tells_whether_there_was_space(bench: Bench) -> None:
    """On SQLite no webhook is made on a full disk; PostgreSQL needs the space for jobs alone."""
    outcome = "done"
    with bench.kit.fill_disk(bench.store):
        try:
            await bench.engine.webhooks.create(webhook())
        except CallError as error:
            outcome = error.code.value
    (entry,) = await entries(bench, operation=Op.CREATE_WEBHOOK)
    assert (entry.outcome, entry.after is None) == (outcome, outcome != "done")


async def test_call_on_nothing_is_not_recorded(bench: Bench) -> None:
    for call in (
        bench.engine.jobs.cancel("job_x"),
        bench.engine.schedules.pause("nothing"),
        bench.engine.queues.clear("nothing"),
        bench.engine.keys.revoke("nobody"),
        bench.engine.bulk.cancel("bulk_x"),
    ):
        with pytest.raises(CallError):
            await call
    assert await entries(bench) == []


async def test_call_on_a_job_out_of_scope_is_recorded_as_not_found(bench: Bench) -> None:
    job_id = await bench.enqueue()
    set_caller(Caller("mallory", frozenset({Role.OPERATOR}), "corvo_m", Scope(["other"])))
    with pytest.raises(CallError):
        await bench.engine.jobs.delete(job_id)
    (entry,) = await entries(bench)
    assert (entry.actor, entry.target, entry.outcome) == ("mallory", job_id, "NOT_FOUND")


async def test_same_defaults_are_recorded_once(bench: Bench) -> None:
    for _ in range(3):
        await bench.engine.queues.set_defaults(QUEUE, JobOptions(max_retries=7), None)
    assert len(await entries(bench)) == 1


async def test_bulk_does_not_repeat_its_conditions_on_payloads(bench: Bench) -> None:
    await bench.enqueue(payload={"card": "4111"})
    wanted = {"queue": QUEUE, "payload_contains": "4111", "payload_jq": '.card == "4111"'}
    await bulk(filter=wanted)(bench.engine, "")
    (entry,) = await entries(bench)
    assert values(entry.after) == {
        "action": "cancel",
        "filter": {"queue": QUEUE, "payload_contains": "hidden", "payload_jq": "hidden"},
        "affected": 1,
        "errors": 0,
    }
    assert entry.queue == QUEUE


@pytest.mark.parametrize("verb", ["clear", "delete"])
async def test_large_emptying_is_recorded_at_its_start_and_its_end(
    verb: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corvo_server.engine.queues.AT_ONCE", 0)
    monkeypatch.setattr("corvo_server.engine.bulk._LONGEST_WAIT", 0)
    await bench.enqueue()
    record = await getattr(bench.engine.queues, verb)(QUEUE)
    set_caller(SERVER)
    set_origin(Origin())
    bench.commits.clear()
    while await bench.engine.bulk.step():
        pass
    first, last = await entries(bench)
    assert (first.operation, first.target, first.actor) == (f"{verb}_queue", QUEUE, "alice")
    assert values(first.after) == {"bulk_id": record.id, "total": 1}
    assert (last.operation, last.target, last.queue) == ("end_bulk", record.id, QUEUE)
    assert (last.actor, last.key_id, last.address) == ("server", None, None)
    (event,) = [event for commit in bench.commits for event in commit.events]
    assert (values(event.data) or {})["actor"] == "alice"


# The log is only added to


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'bob' WHERE id = 2 RETURNING 1",
        "UPDATE audit SET at = 0 RETURNING 1",
        "DELETE FROM audit WHERE operation = 'drain_queue' RETURNING 1",
        "DELETE FROM audit WHERE id >= 2 RETURNING 1",
    ],
)
async def test_no_entry_can_be_changed_or_taken_out(bench: Bench, statement: str) -> None:
    await bench.engine.queues.pause(QUEUE)
    await bench.engine.queues.drain(QUEUE)
    await bench.engine.queues.resume(QUEUE)
    stored = await entries(bench)
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.RaiseException)):
        bench.kit.query(statement)
    assert await entries(bench) == stored


async def test_entries_are_pruned_from_the_oldest_on(bench: Bench) -> None:
    retention = Retention(completed=0, dead=0, events=0, audit=90 * DAY)
    policy = Policy(retention=retention)
    bench.engine = Engine(bench.store, clock=bench.clock, policy=policy)
    for _ in range(9):
        await bench.engine.queues.pause(QUEUE)
    bench.clock.forward(DAY)
    for _ in range(2):
        await bench.engine.queues.pause(QUEUE)
        bench.clock.forward(DAY)
    assert await bench.prune(87 * DAY - 1) == 0
    assert await bench.prune(1) == 9
    assert await bench.prune(DAY) == 1
    assert await bench.prune(100 * DAY) == 0  # the newest stays
    await bench.engine.queues.resume(QUEUE)
    assert [entry.operation for entry in await entries(bench)] == ["pause_queue", "resume_queue"]
    assert await bench.prune() == 1
    assert bench.kit.find_problems() == []


async def test_entries_survive_a_restart(bench: Bench) -> None:
    await bench.engine.queues.pause(QUEUE)
    stored = await entries(bench)
    await bench.restart()
    assert await entries(bench) == stored


# Search


async def test_pages_have_each_matching_entry_once(bench: Bench) -> None:
    for number in range(7):
        await bench.engine.queues.pause(f"q{number % 2}")
    set_caller(ADMIN)
    found, cursor = [], None
    while True:
        page = await bench.engine.audit.list(AuditFilter(queue="q0"), 3, cursor)
        found += page.entries
        if page.cursor is None:
            break
        cursor = page.cursor
    assert [entry.queue for entry in found] == ["q0"] * 4
    ids = [entry.id for entry in found]
    assert ids == sorted(set(ids), reverse=True)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"actor": "alice"}, 2),
        ({"actor": "root"}, 1),
        ({"operation": "pause_queue"}, 2),
        ({"target": "a"}, 2),
        ({"actor": "nobody\0"}, 0),
        ({"since": 1}, 2),
        ({"until": 1}, 1),
        ({"since": 1, "until": 2}, 1),
    ],
)
async def test_filters_select_entries(bench: Bench, wanted: dict[str, Any], count: int) -> None:
    start = bench.clock.now
    await bench.engine.queues.pause("a")
    bench.clock.forward(1)
    await bench.engine.queues.pause("b")
    bench.clock.forward(1)
    set_caller(ADMIN)
    await bench.engine.queues.drain("a")
    times = {name: start + value for name, value in wanted.items() if isinstance(value, int)}
    assert len(await entries(bench, **{**wanted, **times})) == count


async def test_operator_sees_no_keys_and_only_its_queues(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corvo_server.engine.audit._CHUNK", 2)
    set_caller(ADMIN)
    await make_key(bench)
    await bench.engine.queues.pause("mine.a")
    job_id = await bench.enqueue("mine.a")
    await bench.engine.jobs.move(job_id, "other")
    for _ in range(5):
        await bench.engine.queues.pause("other")

    async def seen(caller: Caller) -> list[AuditEntry]:
        set_caller(caller)
        return (await bench.engine.audit.list(AuditFilter(), 100, None)).entries

    assert len(await seen(ADMIN)) == 8
    assert {entry.operation for entry in await seen(ALICE)} == {"pause_queue", "move_job"}
    scoped = Caller("s", frozenset({Role.OPERATOR}), "corvo_s", Scope(["mine.*"]))
    moved, paused = await seen(scoped)
    assert (moved.target, paused.target) == (job_id, "mine.a")
    assert "other" not in repr([moved, paused])


# Events name their actor


async def test_events_name_the_key_of_their_call(bench: Bench) -> None:
    job_id = await bench.enqueue(max_retries=1)
    await bench.engine.jobs.move(job_id, "other")
    worker = Caller("worker", frozenset({Role.WORKER}), "corvo_w")
    set_caller(worker)
    job = await bench.fetch_one("other")
    await bench.fail(job, retry=False)
    set_caller(ALICE)
    await bench.engine.jobs.retry(job_id)
    await bench.engine.jobs.cancel(job_id)
    events = (await bench.job(job_id)).events
    assert [(event.type, (values(event.data) or {}).get("actor")) for event in events] == [
        (EventType.ENQUEUED, "alice"),
        (EventType.MOVED, "alice"),
        (EventType.STARTED, "worker"),
        (EventType.DEAD, "worker"),
        (EventType.RETRIED, "alice"),
        (EventType.CANCELLED, "alice"),
    ]


async def test_events_of_a_background_operation_name_the_key_that_began_it(bench: Bench) -> None:
    mine = [await bench.enqueue() for _ in range(2)]
    cancel = BulkRequest.model_validate({"action": "cancel", "job_ids": mine, "async": True})
    await bench.engine.bulk.run(cancel)
    set_caller(SERVER)
    assert await bench.engine.bulk.step()
    for job_id in mine:
        event, data = await bench.last_event(job_id)
        assert (event, data["actor"]) == (EventType.CANCELLED, "alice")


async def test_events_name_nobody_without_keys(bench: Bench) -> None:
    set_caller(SERVER)
    job = await bench.start()
    await bench.ack(job)
    assert "actor" not in repr((await bench.job(job)).events)


async def test_replacement_names_the_caller(bench: Bench) -> None:
    await bench.enqueue(unique_key="k", at=bench.clock.now + DAY)
    set_caller(Caller("bob", frozenset({Role.PRODUCER}), "corvo_b"))
    replaced = await bench.try_enqueue(unique_key="k", on_conflict="replace")
    assert (await bench.last_event(replaced.job_id))[1]["actor"] == "bob"


# A law: the entries of a queue lead to its settings

SETTINGS = st.one_of(
    st.sampled_from(["pause", "resume", "drain"]).map(lambda verb: (verb, ())),
    st.tuples(st.just("limit"), st.tuples(st.one_of(st.none(), st.integers(1, 9)))),
    st.tuples(st.just("limit_keys"), st.tuples(st.one_of(st.none(), st.integers(1, 9)))),
    st.sampled_from(
        [("throttle", (None, None)), ("throttle", (3, 1000)), ("throttle", (4, 60_000))]
    ),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(SETTINGS, min_size=1, max_size=8))
async def test_replayed_entries_give_the_settings(
    bench: Bench, changes: list[tuple[str, tuple[Any, ...]]]
) -> None:
    name = f"q{await bench.store.last_event_id()}.{len(await bench.store.list_queues())}"
    for verb, arguments in changes:
        await getattr(bench.engine.queues, verb)(name, *arguments)
    replayed: dict[str, Any] = {}
    for entry in await entries(bench, queue=name):
        before, after = values(entry.before) or {}, values(entry.after) or {}
        assert {**replayed, **before} == {**before, **replayed}  # the entries form a chain
        replayed |= after
    queue = await bench.queue(name)
    for field in replayed.keys() - {"rate_window"}:
        assert getattr(queue, field) == replayed[field]
