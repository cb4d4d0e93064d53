"""Settings of the queues of a recording: pauses, limits and defaults."""

from collections.abc import Iterable
from datetime import datetime

from pydantic_core import to_json

from corvo_client._errors import make_error
from corvo_client.testing._errors import not_found
from corvo_schema import (
    MAX_SCHEMA_BYTES,
    OPTION_NAMES,
    ConcurrencyRequest,
    EnqueueRequest,
    ErrorCode,
    Job,
    QueueDefaults,
    QueueDefaultsRequest,
    QueueInfo,
    ThrottleRequest,
)


class QueueSettings:
    """Pauses, limits and defaults by queue. A setting of an unknown queue creates it."""

    def __init__(self) -> None:
        # Their counts are those of deleted jobs.
        self._settings: dict[str, QueueInfo] = {}
        self._options: dict[str, QueueDefaultsRequest] = {}

    def is_paused(self, queue: str) -> bool:
        """Return whether no job of a queue may start."""
        return queue in self._settings and self._settings[queue].paused

    def pause(self, queue: str, *, is_paused: bool, is_draining: bool = False) -> None:
        """Pause, drain or resume a queue."""
        setting = self._of(queue)
        setting.paused, setting.draining = is_paused, is_draining

    def limit(self, queue: str, request: ConcurrencyRequest) -> None:
        """Set the limits of active jobs that the request has."""
        setting = self._of(queue)
        if "max" in request.model_fields_set:
            setting.max_concurrency = request.max or None
        if "per_key" in request.model_fields_set:
            setting.max_per_key = request.per_key or None

    def throttle(self, queue: str, request: ThrottleRequest | None) -> None:
        """Set the rate limit, or remove it."""
        setting = self._of(queue)
        setting.rate_limit = None if request is None else request.rate
        setting.rate_window_ms = None if request is None else request.window

    def set_defaults(self, queue: str, request: QueueDefaultsRequest, now: datetime) -> None:
        """Replace the defaults of a queue. An empty request removes them."""
        size = 0 if request.payload_schema is None else len(to_json(request.payload_schema))
        if size > MAX_SCHEMA_BYTES:
            raise make_error(
                f"payload_schema has {size} bytes; the limit is {MAX_SCHEMA_BYTES}",
                code=ErrorCode.PAYLOAD_TOO_LARGE,
                status=413,
            )
        members = request.model_dump(mode="json", exclude_none=True)
        shown = QueueDefaults.model_validate({**members, "updated_at": now})
        self._of(queue).defaults = shown if members else None
        self._options[queue] = request

    def complete(self, request: EnqueueRequest) -> EnqueueRequest:
        """Return the request with the defaults of its queue for the options that it leaves out."""
        defaults = self._options.get(request.queue)
        left_out = [name for name in OPTION_NAMES if getattr(request, name) is None]
        return request.model_copy(update={name: getattr(defaults, name, None) for name in left_out})

    def note_deleted(self, job: Job) -> None:
        """Keep a deleted job in the totals of its queue."""
        setting = self._of(job.queue)
        setting.enqueued += 1
        setting.failed += len(job.errors)

    def reset(self, queue: str, *, is_kept: bool) -> None:
        """Remove the settings of a queue. If it is kept, for newer jobs, its totals stay."""
        before = self._settings.pop(queue, QueueInfo(name=queue))
        self._options.pop(queue, None)
        if is_kept:
            self._settings[queue] = QueueInfo(
                name=queue, enqueued=before.enqueued, failed=before.failed
            )

    def list(self, jobs: Iterable[Job]) -> dict[str, QueueInfo]:
        """Return all queues by name, with their settings and the counts of these jobs."""
        found = {name: setting.model_copy() for name, setting in self._settings.items()}
        for job in jobs:
            queue = found.setdefault(job.queue, QueueInfo(name=job.queue))
            queue.enqueued += 1
            queue.failed += len(job.errors)
            setattr(queue, str(job.state), getattr(queue, str(job.state)) + 1)
        return dict(sorted(found.items()))

    def get(self, queue: str, jobs: Iterable[Job]) -> QueueInfo:
        """Return one queue. Raises `NotFound`."""
        found = self.list(jobs).get(queue)
        if found is None:
            raise not_found(f"queue {queue!r}; its first job or setting creates a queue")
        return found

    def _of(self, queue: str) -> QueueInfo:
        return self._settings.setdefault(queue, QueueInfo(name=queue))
