"""Convert results and errors of handlers to outcomes."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from corvo_client.worker._description import describe, own_frames, text_of
from corvo_client.worker._leases import Interruption, Lease, jsonable
from corvo_client.worker._log import log_outcome
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

_NO_RESULT = Completed()

MAX_ITEMS = 1_000_000
"""Maximum number of items of a generator. The server would refuse a result of so many."""


class InvalidResult(ValueError):
    """JSON cannot express the result of a handler."""


def outcome_of_result(result: Any, lease: Lease) -> Outcome | None:
    """Return the outcome for the result of a handler, or None if the lease was lost."""
    if lease.interruption is Interruption.LOST:
        return None
    result = collected(result)
    if isinstance(result, Snooze | Cancel | Retry):
        return outcome_of_error(result, lease)
    try:
        outcome = _NO_RESULT if result is None else Completed(storable(result))
    except InvalidResult as error:
        return outcome_of_error(error, lease)
    log_outcome(lease.job, outcome)
    return outcome


def outcome_of_error(error: BaseException, lease: Lease) -> Outcome | None:
    """Return the outcome for the error of a handler, or None if the lease was lost.

    Never raises, whatever the error is.
    """
    if lease.interruption is Interruption.LOST:
        return None
    try:
        outcome = _find_outcome(error, lease)
    except BaseException as unfit:  # noqa: BLE001 - e.g. a subclass of Snooze without seconds
        error, outcome = unfit, None
    raised = None
    if outcome is None:
        described = describe(error)
        outcome = Failed(described.text, described.backtrace)
        if described.is_whole:  # a formatter gets an error only if its text is harmless
            with suppress(BaseException):  # its `__traceback__` may fail at the second call
                raised = (type(error), error, own_frames(error))
    log_outcome(lease.job, outcome, raised)
    return outcome


def _find_outcome(error: BaseException, lease: Lease) -> Outcome | None:
    """Return the outcome that an error asks for; None for any other error."""
    outcome: Outcome | None
    match error, lease.interruption:
        case Snooze(), _:
            outcome = Released(seconds_of(error.seconds))
        case Cancel(), _:
            outcome = Failed(text_of(error.reason), retry=False, cancel=True)
        case Retry(), _:
            outcome = Failed(text_of(error.reason))
        case InvalidJobPayload(), _:
            # Not dead at once: a deploy may be under way, and the next worker knows the payload.
            outcome = Failed(text_of(str(error)))
        case InvalidResult(), _:
            # A retry would do the work again and fail in the same way.
            outcome = Failed(text_of(str(error)), retry=False)
        case asyncio.CancelledError(), Interruption.SHUTDOWN:
            outcome = Released()
        case asyncio.CancelledError(), Interruption.CANCELLED:
            outcome = Failed("cancelled on request", retry=False, cancel=True)
        case _:
            outcome = None
    return outcome


def storable(result: Any) -> Any:
    """Return a result as plain JSON data. Raises `InvalidResult`."""
    try:
        return jsonable(result)
    except ValueError as error:
        raise InvalidResult(f"the result cannot be written as JSON: {error}") from None


def collected(result: Any) -> Any:
    """Return the list of what a generator yields, or any other result itself.

    The body of a generator runs here, so its errors are errors of the handler. Raises
    `InvalidResult` if it does not end.
    """
    if not isinstance(result, Iterator):
        return result
    items = list(islice(result, MAX_ITEMS + 1))
    if len(items) > MAX_ITEMS:
        raise InvalidResult(f"the result has more than {MAX_ITEMS:,} items")
    return items
