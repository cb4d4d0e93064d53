"""Convert results and errors of handlers to outcomes."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from corvo_client.worker._description import describe, own_frames, text_of
from corvo_client.worker._leases import Interruption, Lease, jsonable
from corvo_client.worker._outcomes import (
    Cancel,
    Completed,
    Failed,
    Outcome,
    Released,
    Retry,
    Snooze,
    seconds_of,
)
from corvo_client.worker._payload import InvalidJobPayload

_log = logging.getLogger("corvo.worker")
_NO_RESULT = Completed()
_FAILED = "job %s of %s failed in attempt %d of %d"


class InvalidResult(ValueError):
    """JSON cannot express the result of a handler."""


def outcome_of_result(result: Any, lease: Lease) -> Outcome | None:
    """Return the outcome for the result of a handler, or None if the lease was lost."""
    if lease.interruption is Interruption.LOST:
        return None
    if result is None:
        return _NO_RESULT
    result = collected(result)
    if isinstance(result, Snooze | Cancel | Retry):
        return outcome_of_error(result, lease)
    try:
        return Completed(storable(result))
    except InvalidResult as error:
        return outcome_of_error(error, lease)


def outcome_of_error(error: BaseException, lease: Lease) -> Outcome | None:
    """Return the outcome for the error of a handler, or None if the lease was lost.

    Never raises, whatever the error is.
    """
    try:
        return _outcome_of_error(error, lease)
    except BaseException as unfit:  # noqa: BLE001 - e.g. a subclass of Snooze without seconds
        return _failure(unfit, lease)


def _outcome_of_error(error: BaseException, lease: Lease) -> Outcome | None:
    outcome: Outcome | None
    job = lease.job
    match error, lease.interruption:
        case _, Interruption.LOST:
            outcome = None
        case Snooze(), _:
            outcome = Released(seconds_of(error.seconds))
        case Cancel(), _:
            _log.info("job %s of %s was cancelled by its handler", job.job_id, job.queue)
            outcome = Failed(text_of(error.reason), retry=False, cancel=True)
        case Retry(), _:
            outcome = Failed(text_of(error.reason))
            _log.warning(_FAILED + ": %s", *_attempt(lease), outcome.error)
        case InvalidJobPayload(), _:
            # Not dead at once: a deploy may be under way, and the next worker knows the payload.
            _log.error("job %s of %s: %s", lease.job.job_id, lease.job.queue, error)
            outcome = Failed(text_of(str(error)))
        case InvalidResult(), _:
            # A retry would do the work again and fail in the same way.
            outcome = Failed(text_of(str(error)), retry=False)
            _log.error(_FAILED + ": %s", *_attempt(lease), outcome.error)
        case asyncio.CancelledError(), Interruption.SHUTDOWN:
            outcome = Released()
        case asyncio.CancelledError(), Interruption.CANCELLED:
            outcome = Failed("cancelled on request", retry=False, cancel=True)
        case _:
            outcome = _failure(error, lease)
    return outcome


def storable(result: Any) -> Any:
    """Return a result as plain JSON data. Raises `InvalidResult`."""
    try:
        return jsonable(result)
    except ValueError as error:
        raise InvalidResult(f"the result cannot be written as JSON: {error}") from None


def collected(result: Any) -> Any:
    """Return the list of what a generator yields, or any other result itself.

    The body of a generator runs here, so its errors are errors of the handler.
    """
    return list(result) if isinstance(result, Iterator) else result


def _failure(error: BaseException, lease: Lease) -> Failed:
    described = describe(error)
    where = _attempt(lease)
    # Handlers and filters of the application run in these calls. They must not cost the outcome.
    with contextlib.suppress(BaseException):
        try:
            # A formatter gets an error only if its text is harmless.
            if described.is_whole:
                _log.warning(_FAILED, *where, exc_info=(type(error), error, own_frames(error)))
            else:
                _log.warning(_FAILED + ": %s\n%s", *where, described.text, described.backtrace)
        except BaseException:  # noqa: BLE001
            _log.warning(_FAILED + "; the log cannot show its error", *where)
    return Failed(described.text, described.backtrace)


def _attempt(lease: Lease) -> tuple[str, str, int, int]:
    job = lease.job
    return job.job_id, job.queue, job.attempt, max(job.max_retries, 1)
