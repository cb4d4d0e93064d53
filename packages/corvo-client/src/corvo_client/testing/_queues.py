"""Settings of the queues of a recording: pauses and limits."""

from collections.abc import Iterable

from corvo_client.testing._errors import not_found
from corvo_schema import ConcurrencyRequest, Job, QueueInfo, ThrottleRequest


class QueueSettings:
    """Pauses and limits by queue. A setting of an unknown queue creates it."""

    def __init__(self) -> None:
        self._settings: dict[str, QueueInfo] = {}

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
