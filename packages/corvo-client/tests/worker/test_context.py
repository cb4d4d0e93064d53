import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from corvo_client.worker._context import Context, current_job, enter
from corvo_client.worker._leases import Interruption, Lease
from corvo_schema.progress import Progress

MakeLease = Any


@pytest.fixture
def lease(make_lease: MakeLease) -> Lease:
    return make_lease(
        job_id="job_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        queue="emails",
        attempt=2,
        max_retries=3,
        tags={"customer": "7"},
        checkpoint={"page": 4},
    )


@pytest.fixture
def context(lease: Lease) -> Context:
    return Context(lease)


def test_context_has_the_fields_of_the_job(context: Context) -> None:
    assert context.id == "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    assert context.queue == "emails"
    assert (context.attempt, context.max_retries, context.is_last_attempt) == (2, 3, False)
    assert context.tags == {"customer": "7"}


def test_is_last_attempt(make_lease: MakeLease) -> None:
    assert Context(make_lease(attempt=3, max_retries=3)).is_last_attempt
    assert Context(make_lease(attempt=1, max_retries=0)).is_last_attempt


def test_deadline_is_the_end_of_the_lease(lease: Lease, context: Context) -> None:
    import time

    lease.ends_at = time.monotonic() + 30
    left = context.deadline - datetime.now(UTC)
    assert timedelta(seconds=29) < left <= timedelta(seconds=30)


def test_checkpoint_of_an_earlier_attempt_stays_until_a_new_one(
    context: Context, lease: Lease
) -> None:
    assert context.last_checkpoint == {"page": 4}
    assert lease.unsent_checkpoint is None
    context.checkpoint({"page": 5})
    assert context.last_checkpoint == {"page": 5}
    assert lease.unsent_checkpoint == {"page": 5}


def test_checkpoint_is_copied_to_plain_data(context: Context) -> None:
    value: dict[str, Any] = {"seen": [1], "at": datetime(2026, 1, 31, tzinfo=UTC)}
    context.checkpoint(value)
    value["seen"].append(2)
    assert context.last_checkpoint == {"seen": [1], "at": "2026-01-31T00:00:00Z"}


@pytest.mark.parametrize("value", [object(), float("nan"), "\ud800"])
def test_checkpoint_rejects_values_that_are_not_json(context: Context, value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are pydantic's
        context.checkpoint(value)
    assert context.last_checkpoint == {"page": 4}


def test_progress_keeps_the_latest(context: Context, lease: Lease) -> None:
    context.progress(1, 10)
    context.progress(2, 10, "second")
    assert lease.unsent_progress == Progress(current=2, total=10, message="second")


def test_notes_request_an_early_heartbeat(make_lease: MakeLease) -> None:
    pokes = []
    lease = make_lease()
    lease.on_note = lambda: pokes.append(1)
    Context(lease).progress(message="half way")
    Context(lease).checkpoint(1)
    assert len(pokes) == 2


def test_sent_notes_are_cleared_and_later_notes_stay(lease: Lease) -> None:
    lease.note_checkpoint([1])
    lease.note_progress(Progress(current=1))
    sent = (lease.unsent_checkpoint, lease.unsent_progress)
    lease.note_checkpoint([1])
    lease.clear_sent_notes(*sent)
    assert lease.unsent_checkpoint == [1]
    assert lease.unsent_progress is None
    lease.clear_sent_notes(lease.unsent_checkpoint, None)
    assert lease.unsent_checkpoint is None
    assert lease.checkpoint == [1]


def test_interruption_is_visible_and_can_be_raised(context: Context, lease: Lease) -> None:
    assert not context.cancelled
    context.raise_if_cancelled()
    lease.interrupt(Interruption.CANCELLED)
    assert context.cancelled
    assert context.interruption is Interruption.CANCELLED
    with pytest.raises(asyncio.CancelledError):
        context.raise_if_cancelled()


def test_interruption_changes_once_and_lost_has_precedence(make_lease: MakeLease) -> None:
    lease = make_lease()
    assert lease.interrupt(Interruption.CANCELLED)
    assert not lease.interrupt(Interruption.CANCELLED)
    assert not lease.interrupt(Interruption.SHUTDOWN)
    assert lease.interrupt(Interruption.LOST)
    assert not lease.interrupt(Interruption.LOST)
    assert lease.interruption is Interruption.LOST


def test_a_finished_job_is_not_interrupted(make_lease: MakeLease) -> None:
    lease = make_lease()
    lease.is_running = False
    assert not lease.interrupt(Interruption.LOST)
    lease.cancel_task()


def test_log_names_the_job_in_message_and_record(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    context.log.warning("slow: %d", 3, extra={"attempt": 9, "step": 1})
    (record,) = caplog.records
    assert record.name == "corvo.job"
    assert record.getMessage() == "[job_01ARZ3NDEKTSV4RRFFQ69G5FAV] slow: 3"
    assert vars(record)["queue"] == "emails"
    assert (vars(record)["attempt"], vars(record)["step"]) == (9, 1)
    assert context.log is context.log
    assert isinstance(context.log, logging.LoggerAdapter)


def test_current_job_returns_the_entered_context(context: Context) -> None:
    import contextvars

    def inside() -> Context:
        enter(context)
        return current_job()

    assert contextvars.copy_context().run(inside) is context
    with pytest.raises(LookupError, match="there is no running job"):
        current_job()


def test_a_long_message_of_progress_is_cut(context: Context, lease: Lease) -> None:
    context.progress(1, 2, "x" * 9_000_000)
    assert lease.unsent_progress is not None
    assert lease.unsent_progress.message is not None
    assert len(lease.unsent_progress.message) == 4_096
    assert lease.unsent_progress.message.endswith("x… (9,000,000 characters)")
