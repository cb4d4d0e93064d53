"""Every lifecycle rule in every state, compared with the table of transitions."""

from collections.abc import Callable
from itertools import product

import pytest
from msgspec.structs import replace

from corvo_schema.errors import ErrorCode
from corvo_schema.states import (
    ALTERNATIVES,
    TRANSITIONS,
    Backoff,
    EventType,
    JobState,
    Priority,
)
from corvo_server.engine import lifecycle
from corvo_server.store.records import (
    Change,
    JobHead,
    NewJob,
    Outcome,
    Refusal,
    Removal,
    Unchanged,
)

NOW = 1_000_000
TOKEN = "held"
E, S = EventType, JobState

Rule = Callable[[JobHead], Outcome]


def make_head(state: JobState, **fields: object) -> JobHead:
    """Return a stored job in `state`; if it has started, in its second of three attempts."""
    head = JobHead(
        seq=1,
        id="job_1",
        queue="mail",
        state=state,
        priority=Priority.NORMAL,
        attempt=0 if state in {S.PENDING, S.SCHEDULED} else 2,
        max_retries=3,
        backoff=Backoff.FIXED,
        base_delay=1_000,
        max_delay=10_000,
        unique_key="k",
        unique_period=60_000,
        batch_id="batch_1",
        is_batch_counted=state.is_finished,
        worker_id="worker-1" if state is S.ACTIVE else None,
        hostname="host-1" if state is S.ACTIVE else None,
        lease_token=TOKEN if state not in {S.PENDING, S.SCHEDULED} else None,
        lease_ms=30_000,
        lease_expires_at=NOW if state is S.ACTIVE else None,
        scheduled_at=NOW if state in {S.SCHEDULED, S.RETRYING} else None,
        expire_at=None,
        created_at=NOW - 1000,
        started_at=NOW - 500,
        finished_at=NOW - 100 if state.is_finished else None,
        failed_at=None,
        is_cancel_requested=False,
        concurrency_key=None,
    )
    return replace(head, **fields)


def new_job(scheduled_at: int | None = None) -> NewJob:
    """Return a new job whose unique key a live job holds."""
    state = S.PENDING if scheduled_at is None else S.SCHEDULED
    return NewJob("job_2", "mail", state, "{}", NOW, scheduled_at=scheduled_at, unique_key="k")


def fail(token: str | None = TOKEN, **options: bool) -> Rule:
    flags = {"may_retry": True, "is_cancel": False, **options}
    return lambda job: lifecycle.fail(job, token, "boom", None, NOW, luck=0.5, **flags)


def start(job: JobHead) -> Outcome:
    return lifecycle.start(
        job, NOW, worker_id="worker-2", hostname=None, lease_ms=5_000, token="new"
    )


CALLS: dict[str, tuple[Rule, set[EventType]]] = {
    "ack": (lambda job: lifecycle.ack(job, TOKEN, '"r"', NOW), {E.COMPLETED}),
    "fail": (fail(), {E.RETRYING, E.DEAD, E.CANCELLED, E.EXPIRED}),
    "fail for good": (fail(may_retry=False), {E.DEAD, E.CANCELLED, E.EXPIRED}),
    "fail as cancelled": (fail(is_cancel=True), {E.CANCELLED}),
    "release": (
        lambda job: lifecycle.release(job, TOKEN, 0, None, NOW),
        {E.RELEASED, E.CANCELLED, E.EXPIRED},
    ),
    "release for later": (
        lambda job: lifecycle.release(job, TOKEN, 5, None, NOW),
        {E.RELEASED, E.CANCELLED, E.EXPIRED},
    ),
    "heartbeat": (lambda job: lifecycle.heartbeat(job, TOKEN, "{}", None, NOW), {E.PROGRESS}),
    "cancel": (lambda job: lifecycle.cancel(job, NOW), {E.CANCELLED, E.CANCEL_REQUESTED}),
    "retry": (lambda job: lifecycle.retry(job, NOW), {E.RETRIED}),
    "requeue": (lambda job: lifecycle.requeue(job, NOW), {E.REQUEUED}),
    "move": (lambda job: lifecycle.move(job, "other", NOW), {E.MOVED}),
    "change priority": (
        lambda job: lifecycle.change_priority(job, Priority.HIGH, NOW),
        {E.PRIORITY_CHANGED},
    ),
    "delete": (lambda job: lifecycle.delete(job, NOW), {E.DELETED}),
}
"""Calls that are possible in any state, with the events that each may cause."""

OWN_DOING: dict[str, tuple[Rule, set[JobState], set[EventType]]] = {
    "start": (start, {S.PENDING}, {E.STARTED}),
    "promote": (
        lambda job: lifecycle.promote(job, NOW),
        {S.SCHEDULED, S.RETRYING},
        {E.PROMOTED},
    ),
    "reclaim": (
        lambda job: lifecycle.reclaim(job, NOW),
        {S.ACTIVE},
        {E.RECLAIMED, E.DEAD, E.CANCELLED, E.EXPIRED},
    ),
    "expire": (
        lambda job: lifecycle.expire(job, NOW),
        {S.PENDING, S.SCHEDULED, S.RETRYING},
        {E.EXPIRED},
    ),
    "replace": (
        lambda job: lifecycle.replace_waiting(job, new_job()),
        {S.PENDING, S.SCHEDULED, S.RETRYING},
        {E.REPLACED},
    ),
    "replace for later": (
        lambda job: lifecycle.replace_waiting(job, new_job(NOW + 5)),
        {S.PENDING, S.SCHEDULED, S.RETRYING},
        {E.REPLACED},
    ),
    "reschedule": (
        lambda job: lifecycle.reschedule(job, new_job()),
        {S.PENDING, S.SCHEDULED, S.RETRYING},
        {E.RESCHEDULED},
    ),
    "reschedule for later": (
        lambda job: lifecycle.reschedule(job, new_job(NOW + 5)),
        {S.PENDING, S.SCHEDULED, S.RETRYING},
        {E.RESCHEDULED},
    ),
}
"""Rules that the server applies only to jobs in certain states."""

KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "last attempt": {"attempt": 3},
    "cancel requested": {"is_cancel_requested": True},
    "expired": {"expire_at": NOW},
    "expired and cancel requested": {"expire_at": NOW, "is_cancel_requested": True},
    "no retries": {"max_retries": 0, "attempt": 1},
}


def all_outcomes() -> list[tuple[str, JobHead, Outcome, set[EventType]]]:
    """Return the outcome of every rule for every kind of job that it can get."""
    found = []
    for (name, (rule, events)), state, kind in product(CALLS.items(), JobState, KINDS.values()):
        head = make_head(state, **kind)
        found.append((name, head, rule(head), events))
    for (name, (rule, states, events)), kind in product(OWN_DOING.items(), KINDS.values()):
        for state in states:
            head = make_head(state, **kind)
            found.append((name, head, rule(head), events))
    return found


def test_every_change_is_a_transition_of_the_table() -> None:
    for name, head, outcome, events in all_outcomes():
        if isinstance(outcome, Change) and outcome.event is not None:
            key = (head.state, outcome.event)
            assert key in TRANSITIONS, f"{name}: {key}"
            assert outcome.job.state in {TRANSITIONS[key], ALTERNATIVES.get(key)}, f"{name}: {key}"
            assert outcome.event in events, name
        elif isinstance(outcome, Removal):
            assert TRANSITIONS[head.state, outcome.event] is None


def test_every_transition_of_the_table_has_a_rule() -> None:
    made = {
        (head.state, outcome.event)
        for _, head, outcome, _ in all_outcomes()
        if isinstance(outcome, Change | Removal)
    }
    by_the_store = {key for key in TRANSITIONS if key[1] in {E.ENQUEUED, E.PRUNED}}
    assert made >= set(TRANSITIONS) - by_the_store
    reached = {
        (head.state, outcome.event, outcome.job.state)
        for _, head, outcome, _ in all_outcomes()
        if isinstance(outcome, Change)
    }
    wanted = {
        (state, event, after)
        for (state, event), after in ALTERNATIVES.items()
        if event is not E.ENQUEUED
    }
    assert reached >= wanted


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("state", JobState)
def test_calls_without_a_transition_are_refused(name: str, state: JobState) -> None:
    rule, events = CALLS[name]
    may = any((state, event) in TRANSITIONS for event in events)
    if name.startswith(("fail", "release")):  # the worker's calls require an active job
        may = state is S.ACTIVE
    outcome = rule(make_head(state, lease_token=TOKEN if state is S.ACTIVE else None))
    assert isinstance(outcome, Refusal) != may
    if isinstance(outcome, Refusal):
        assert outcome.state is state


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("state", JobState)
def test_refusal_names_the_job_and_its_state(name: str, state: JobState) -> None:
    rule, _ = CALLS[name]
    outcome = rule(make_head(state))
    if isinstance(outcome, Refusal):
        assert outcome.code is ErrorCode.INVALID_STATE or state in {S.PENDING, S.SCHEDULED}
        assert "job_1" in outcome.message
        assert state.value in outcome.message


def test_rules_do_not_change_the_given_head() -> None:
    for (rule, *_), state, kind in product(
        [*CALLS.values(), *OWN_DOING.values()], JobState, KINDS.values()
    ):
        head = make_head(state, **kind)
        rule(head)
        assert head == make_head(state, **kind)


def test_only_finished_jobs_have_an_end_time() -> None:
    for name, head, outcome, _ in all_outcomes():
        if isinstance(outcome, Change):
            assert (outcome.job.finished_at is not None) == outcome.job.state.is_finished, name
            if not head.state.is_finished and outcome.job.state.is_finished:
                assert outcome.job.finished_at == NOW, name


def test_only_active_jobs_have_a_lease() -> None:
    for name, _, outcome, _ in all_outcomes():
        if isinstance(outcome, Change):
            is_leased = outcome.job.lease_expires_at is not None
            assert is_leased == (outcome.job.state is S.ACTIVE), name


def test_waiting_jobs_have_a_due_time() -> None:
    for name, _, outcome, _ in all_outcomes():
        if isinstance(outcome, Change) and outcome.job.state in {S.SCHEDULED, S.RETRYING}:
            assert outcome.job.scheduled_at is not None, name


def test_runnable_jobs_have_no_worker() -> None:
    for name, head, outcome, _ in all_outcomes():
        if (
            isinstance(outcome, Change)
            and outcome.job.state is S.PENDING
            and head.state is not S.PENDING
        ):
            assert outcome.job.worker_id is None, name
            assert outcome.job.hostname is None, name
            assert not outcome.job.is_cancel_requested or head.state is not S.ACTIVE, name


def test_only_a_start_counts_an_attempt() -> None:
    for name, head, outcome, _ in all_outcomes():
        if isinstance(outcome, Change):
            assert outcome.job.attempt <= head.attempt + (name == "start"), name
            assert outcome.job.attempt >= 0, name


def test_identity_and_settings_do_not_change() -> None:
    kept = ("seq", "id", "backoff", "base_delay", "max_delay", "unique_key", "batch_id")
    for name, head, outcome, _ in all_outcomes():
        if isinstance(outcome, Change):
            assert [getattr(outcome.job, field) for field in kept] == [
                getattr(head, field) for field in kept
            ], name
            assert (outcome.job.created_at, outcome.at) == (head.created_at, NOW), name


def test_every_end_of_an_attempt_except_ack_stores_its_error() -> None:
    for name, head, outcome, _ in all_outcomes():
        if isinstance(outcome, Change) and head.state is S.ACTIVE and name.startswith("fail"):
            assert outcome.failure is not None, name
            assert outcome.failure.attempt == head.attempt
            assert "boom" in outcome.failure.error


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("token", ["other", ""])
@pytest.mark.parametrize(
    "rule",
    [
        lambda job, token: lifecycle.ack(job, token, None, NOW),
        lambda job, token: fail(token)(job),
        lambda job, token: lifecycle.release(job, token, 0, None, NOW),
        lambda job, token: lifecycle.heartbeat(job, token, None, None, NOW),
    ],
)
def test_wrong_token_is_a_lost_lease_in_every_state(
    state: JobState, token: str, rule: Callable[[JobHead, str], Outcome]
) -> None:
    outcome = rule(make_head(state), token)
    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.state) == (ErrorCode.LEASE_LOST, state)


@pytest.mark.parametrize(
    "rule",
    [
        lambda job: lifecycle.ack(job, None, None, NOW),
        fail(None),
        lambda job: lifecycle.release(job, None, 0, None, NOW),
        lambda job: lifecycle.heartbeat(job, None, None, None, NOW),
    ],
)
@pytest.mark.parametrize("state", JobState)
def test_call_without_token_does_not_meet_a_fenced_attempt(state: JobState, rule: Rule) -> None:
    outcome = rule(make_head(state, lease_token=lifecycle.lease_token("held", 1, is_fenced=True)))
    code = ErrorCode.LEASE_LOST if state is S.ACTIVE else ErrorCode.INVALID_STATE
    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.state) == (code, state)
    plain = rule(make_head(state, lease_token=lifecycle.lease_token("held", 1, is_fenced=False)))
    assert isinstance(plain, Change) == (state is S.ACTIVE)


@pytest.mark.parametrize("is_fenced", [True, False])
def test_tokens_of_one_fetch_end_with_the_seq(is_fenced: bool) -> None:
    first, second = (lifecycle.lease_token("stem", seq, is_fenced=is_fenced) for seq in (7, 12))
    assert (first[-1:], second[-2:]) == ("7", "12")
    assert first[:-1] == second[:-2]


@pytest.mark.parametrize("state", JobState)
def test_repeat_is_unchanged_only_after_the_same_call(state: JobState) -> None:
    head = make_head(state, lease_token=TOKEN)
    acked = isinstance(lifecycle.ack(head, TOKEN, None, NOW), Unchanged)
    failed = isinstance(fail()(head), Unchanged)
    assert acked == (state is S.COMPLETED)
    assert failed == (state not in {S.COMPLETED, S.ACTIVE})


@pytest.mark.parametrize("state", [s for s in JobState if s is not S.ACTIVE])
def test_call_without_token_is_never_a_repeat(state: JobState) -> None:
    for outcome in (lifecycle.ack(make_head(state), None, None, NOW), fail(None)(make_head(state))):
        assert isinstance(outcome, Refusal)
        assert outcome.code is ErrorCode.INVALID_STATE


@pytest.mark.parametrize(
    ("max_retries", "attempt", "left"),
    [(0, 0, 1), (0, 1, 0), (1, 1, 0), (3, 0, 3), (3, 2, 1), (3, 3, 0), (3, 9, 0)],
)
def test_attempts_remaining(max_retries: int, attempt: int, left: int) -> None:
    head = make_head(S.ACTIVE, max_retries=max_retries, attempt=attempt)
    assert lifecycle.attempts_remaining(head) == left


def test_requeue_allows_one_attempt_more() -> None:
    outcome = lifecycle.requeue(make_head(S.DEAD, attempt=3, max_retries=3), NOW)
    assert isinstance(outcome, Change)
    assert (outcome.job.attempt, lifecycle.attempts_remaining(outcome.job)) == (3, 1)


def test_move_and_priority_without_effect_change_nothing() -> None:
    head = make_head(S.PENDING)
    assert lifecycle.move(head, head.queue, NOW) == Unchanged(head)
    assert lifecycle.change_priority(head, head.priority, NOW) == Unchanged(head)


def test_conflict_with_an_active_job_does_not_change_it() -> None:
    head = make_head(S.ACTIVE)
    assert lifecycle.replace_waiting(head, new_job()) == Unchanged(head)
    assert lifecycle.reschedule(head, new_job()) == Unchanged(head)


def test_conflict_may_be_an_error() -> None:
    outcome = lifecycle.refuse_duplicate(make_head(S.PENDING), new_job())
    assert isinstance(outcome, Refusal)
    assert outcome.code is ErrorCode.INVALID_STATE
    assert all(word in outcome.message for word in ("job_1", "'k'", "mail", "pending"))
