# Generated from src/corvo_client/_async/attempts.py by scripts/gen_sync.py. Do not edit.
"""The client's methods for workers. `corvo_client.Worker` uses them so that you need not."""

from collections.abc import Iterable, Mapping
from typing import Any

from corvo_client._calls import attempts as calls
from corvo_client._calls.attempts import AnyJob
from corvo_client._options import AnySeconds
from corvo_client._sync.base import Base
from corvo_schema import (
    AckBatchReply,
    AckItem,
    FailBatchReply,
    FailItem,
    FailReply,
    FetchedJob,
    HeartbeatJob,
    HeartbeatReply,
    ReleaseBatchReply,
    ReleaseItem,
    ReleaseReply,
)


class Attempts(Base):
    """Fetch jobs, and report what became of them.

    A job is given as it was fetched, or by its id and `lease_token`. Every fetch is fenced: the
    server refuses a report without the token (`LeaseLost`). A report without a token works only
    on jobs that another client fetched without `fenced`. It is not repeated if its answer is lost.
    """

    def fetch(
        self,
        queues: Iterable[str],
        *,
        worker_id: str,
        hostname: str | None = None,
        timeout: AnySeconds = 30,
        lease_duration: AnySeconds | None = None,
    ) -> FetchedJob | None:
        """Return the next job of these queues, or None when none has come within `timeout`.

        Seconds: `timeout` 0 to 60, `lease_duration` 1 to 86400 (the server's setting when left
        out). The job is this worker's until its lease ends.
        """
        members = {
            "queues": list(queues),
            "worker_id": worker_id,
            "hostname": hostname,
            "timeout": timeout,
            "lease_duration": lease_duration,
        }
        return self._send(calls.fetch(members))

    def fetch_batch(
        self,
        queues: Iterable[str],
        *,
        worker_id: str,
        count: int,
        hostname: str | None = None,
        timeout: AnySeconds = 30,
        lease_duration: AnySeconds | None = None,
    ) -> list[FetchedJob]:
        """Return up to `count` (1 to 512) jobs, as many as there are; waits only for the first."""
        members = {
            "queues": list(queues),
            "worker_id": worker_id,
            "count": count,
            "hostname": hostname,
            "timeout": timeout,
            "lease_duration": lease_duration,
        }
        return (self._send(calls.fetch_batch(members))).jobs

    def ack(self, job: AnyJob, result: Any = None, *, lease_token: str | None = None) -> None:
        """Report a job as done, with a result that JSON can express.

        Raises `LeaseLost` when the attempt is over already, `InvalidState`, `NotFound`.
        """
        self._send(calls.ack(job, {"result": result, "lease_token": lease_token}))

    def ack_batch(self, acks: Iterable[AckItem]) -> AckBatchReply:
        """Report up to 512 jobs as done, each on its own; the reply says what became of each."""
        return self._send(calls.ack_batch(acks))

    def fail(
        self,
        job: AnyJob,
        error: str | BaseException,
        *,
        backtrace: str | None = None,
        retry: bool = True,
        cancel: bool = False,
        lease_token: str | None = None,
    ) -> FailReply:
        """Report an attempt as failed; the reply says when the next one is due, if there is one.

        `retry=False` sends the job to dead at once, `cancel=True` ends it as cancelled. Raises
        `LeaseLost` when the attempt is over already, `InvalidState`, `NotFound`.
        """
        members: dict[str, Any] = {"backtrace": backtrace, "lease_token": lease_token}
        if not retry:
            members["retry"] = False
        if cancel:
            members["cancel"] = True
        return self._send(calls.fail(job, error, members))

    def fail_batch(self, fails: Iterable[FailItem]) -> FailBatchReply:
        """Report up to 512 attempts as failed, each on its own."""
        return self._send(calls.fail_batch(fails))

    def release(
        self,
        job: AnyJob,
        *,
        delay: AnySeconds | None = None,
        checkpoint: Any = None,
        lease_token: str | None = None,
    ) -> ReleaseReply:
        """Give a job back without the attempt being counted; it is due again after `delay`.

        `checkpoint` replaces what the job has as such, unless it is None. Raises `LeaseLost` when
        the attempt is over already, `InvalidState`, `NotFound`.
        """
        members = {"delay": delay, "checkpoint": checkpoint, "lease_token": lease_token}
        return self._send(calls.release(job, members))

    def release_batch(self, releases: Iterable[ReleaseItem]) -> ReleaseBatchReply:
        """Give up to 512 jobs back, each on its own."""
        return self._send(calls.release_batch(releases))

    def heartbeat(
        self, jobs: Mapping[str, HeartbeatJob], *, worker_id: str | None = None
    ) -> HeartbeatReply:
        """Extend the leases of these jobs, by id, and say how far they are.

        The reply tells for each whether to go on, or to stop and why.
        """
        return self._send(calls.heartbeat(jobs, worker_id))
