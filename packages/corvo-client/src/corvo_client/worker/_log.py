"""The log of a worker: its default handler, its start, and the ends of its attempts."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from corvo_client.__about__ import __version__
from corvo_client.worker._api import LeasedJob
from corvo_client.worker._outcomes import Completed, Failed, Outcome


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that never raises: handlers and filters of the application must not end a loop."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a message. Do nothing if that fails."""
        with suppress(BaseException):
            # The caller of this method is the one to show.
            super().log(level, msg, *args, **{"stacklevel": 2, **kwargs})


_log = logging.getLogger("corvo.worker")
log = SafeLogger(_log, {})
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_MAX_QUEUES_SHOWN = 20

_Raised = tuple[type[BaseException], BaseException, TracebackType | None]


def log_by_default(level: int | str) -> None:
    """Write the log of the program to stderr, unless the program has configured logging.

    It has if the root logger or the logger `corvo` has a handler.
    """
    root, ours = logging.getLogger(), logging.getLogger("corvo")
    if root.handlers or ours.handlers:
        return
    logging.basicConfig(level=level, format=_FORMAT)
    # Behind a proxy the worker's own requests go through httpx, which logs each at level INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def log_start(worker_id: str, server: str, queues: Sequence[str], concurrency: int) -> None:
    """Log which queues of which server a worker serves."""
    more = len(queues) - _MAX_QUEUES_SHOWN
    names = ", ".join(queues[:_MAX_QUEUES_SHOWN])
    log.info(
        "worker %s (corvo-client %s) serves %s%s of %s, concurrency %d",
        worker_id,
        __version__,
        names,
        f" and {more} more queues" if more > 0 else "",
        server,
        concurrency,
    )


def log_outcome(job: LeasedJob, outcome: Outcome, raised: _Raised | None = None) -> None:
    """Log the end of an attempt. `raised` is the error whose traceback helps the reader.

    Never raises: handlers and filters of the application run here, and must not cost the outcome.
    """
    try:
        _log_outcome(job, outcome, raised)
    except BaseException:  # noqa: BLE001
        with suppress(BaseException):
            _log.warning("the end of job %s of %s cannot be logged", job.job_id, job.queue)


def _log_outcome(job: LeasedJob, outcome: Outcome, raised: _Raised | None) -> None:
    attempts = max(job.max_retries, 1)
    match outcome:
        case Failed(cancel=True):
            _log.info("job %s of %s is cancelled: %s", job.job_id, job.queue, outcome.error)
        case Failed():
            is_dead = not outcome.retry or job.attempt >= attempts
            has_trace = raised is None and outcome.backtrace
            _log.log(
                logging.ERROR if is_dead else logging.WARNING,
                "job %s of %s failed in attempt %d of %d%s: %s%s",
                job.job_id,
                job.queue,
                job.attempt,
                attempts,
                " and is dead" if is_dead else "",
                outcome.error,
                f"\n{outcome.backtrace}" if has_trace else "",
                exc_info=raised,
            )
        case Completed():
            _log.debug("job %s of %s completed in attempt %d", job.job_id, job.queue, job.attempt)
        case _:
            _log.debug("job %s of %s is released", job.job_id, job.queue)
