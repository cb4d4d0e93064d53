"""What an attempt came to: from what a handler returned or raised to what is reported."""

import asyncio
import logging
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from corvo_client.worker._leases import Interruption, Lease, jsonable
from corvo_client.worker._outcomes import (
    Cancel,
    Completed,
    Failed,
    Outcome,
    Released,
    Retry,
    Snooze,
)
from corvo_client.worker._payload import UnfitJob

_log = logging.getLogger("corvo.worker")
_MOST_BACKTRACE = 32_768
_NO_RESULT = Completed()
_OUR_FOLDER = str(Path(__file__).parents[1])


class UnfitResult(ValueError):
    """JSON cannot hold what a handler returned."""


class RemoteTraceback(Exception):
    """The cause of an error that was raised in another process: where it was raised there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def outcome_of_result(result: Any, lease: Lease) -> Outcome | None:
    """Return the outcome of a handler that returned; None when there is nothing to report."""
    if lease.interruption is Interruption.LOST:
        return None
    if result is None:
        return _NO_RESULT
    if isinstance(result, Snooze | Cancel | Retry):
        return outcome_of_error(result, lease)
    try:
        return Completed(storable(result))
    except UnfitResult as error:
        return outcome_of_error(error, lease)


def outcome_of_error(error: BaseException, lease: Lease) -> Outcome | None:
    """Return the outcome of a handler that raised; None when there is nothing to report."""
    outcome: Outcome | None
    match error, lease.interruption:
        case _, Interruption.LOST:
            outcome = None
        case Snooze(), _:
            outcome = Released(error.seconds)
        case Cancel(), _:
            outcome = Failed(error.reason, retry=False, cancel=True)
        case Retry(), _:
            outcome = Failed(error.reason)
        case UnfitJob(), _:
            # No attempt can turn out better: the payload stays what it is.
            _log.error("job %s of %s: %s", lease.job.job_id, lease.job.queue, error)
            outcome = Failed(str(error), retry=False)
        case UnfitResult(), _:
            # Running it again would do the work twice and end here again.
            outcome = Failed(str(error), retry=False)
        case asyncio.CancelledError(), Interruption.SHUTDOWN:
            outcome = Released()
        case asyncio.CancelledError(), Interruption.CANCELLED:
            outcome = Failed("cancelled on request", retry=False, cancel=True)
        case _:
            outcome = _failure(error, lease)
    return outcome


def storable(result: Any) -> Any:
    """Return a result as plain JSON data. Raises `UnfitResult`."""
    try:
        return jsonable(result)
    except ValueError as error:
        raise UnfitResult(f"the result cannot be stored as JSON: {error}") from None


def own_frames(error: BaseException) -> TracebackType | None:
    """Return where an error was raised, without our own frames above the handler's.

    They are noise to whoever reads the failure.
    """
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OUR_FOLDER):
        frames = frames.tb_next
    return frames


def backtrace_of(error: BaseException) -> str:
    """Return an error with its own frames as text, of which the end is kept."""
    if isinstance(error.__cause__, RemoteTraceback):
        return error.__cause__.text
    text = "".join(traceback.format_exception(type(error), error, own_frames(error)))
    return text[-_MOST_BACKTRACE:]


def _failure(error: BaseException, lease: Lease) -> Failed:
    job = lease.job
    _log.warning(
        "job %s of %s failed in attempt %d of %d",
        job.job_id,
        job.queue,
        job.attempt,
        max(job.max_retries, 1),
        exc_info=(type(error), error, own_frames(error)),
    )
    message = str(error)
    name = type(error).__name__
    return Failed(f"{name}: {message}" if message else name, backtrace_of(error))
