# Generated from src/corvo_client/_async/attempts.py by scripts/gen_sync.py. Do not edit.
"""Client methods of attempts: fetch, ack, fail, release, heartbeat."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from corvo_client._calls import attempts as calls
from corvo_client._calls.attempts import AnyJob
from corvo_client._errors import CannotDecode
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

_log = logging.getLogger("corvo.client")


class Attempts(Base):
    """Fetch jobs and report the outcomes of their attempts. `Worker` does this for you.

    `job` is a fetched job, or its id with `lease_token`. Every fetch is fenced: the server refuses
    a report without the token (`LeaseLost`). A report without a token works only on jobs that
    another client fetched without `fenced`. The client does not retry it if its answer is lost.
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
        """Return the next job of these queues, or None if there is none within `timeout`.

        `timeout` is 0 to 60 seconds; `lease_duration` is 1 to 86400 seconds (default: the server's
        setting). This worker has the job until its lease ends. Raises `CannotDecode` for a job that
        the codec cannot decode; its attempt has failed then.
        """
        members = {
            "queues": list(queues),
            "worker_id": worker_id,
            "hostname": hostname,
            "timeout": timeout,
            "lease_duration": lease_duration,
        }
        job = self._send(calls.fetch(members))
        if job is not None and (error := self._opened(job)) is not None:
            raise error
        return job

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
        """Return up to `count` (1 to 512) jobs. Waits only until there is one; see `fetch`.

        Jobs that the codec cannot decode fail, and are left out.
        """
        members = {
            "queues": list(queues),
            "worker_id": worker_id,
            "count": count,
            "hostname": hostname,
            "timeout": timeout,
            "lease_duration": lease_duration,
        }
        jobs = (self._send(calls.fetch_batch(members))).jobs
        return [job for job in jobs if self._opened(job) is None]

    def _opened(self, job: FetchedJob) -> CannotDecode | None:
        """Decode the documents of a job. Fail the attempt and return the error if that fails."""
        if (sealing := self._session.sealing) is not None:
            try:
                sealing.open_job(job)
            except CannotDecode as error:
                _log.warning("job %s of %s failed: %s", job.job_id, job.queue, error)
                self.fail(job, str(error))
                return error
        return None

    def ack(self, job: AnyJob, result: Any = None, *, lease_token: str | None = None) -> None:
        """Report a job as completed. `result` is any JSON value.

        Raises `LeaseLost` if the attempt has lost its lease, `InvalidState`, `NotFound`.
        """
        self._send(calls.ack(job, {"result": result, "lease_token": lease_token}))

    def ack_batch(self, acks: Iterable[AckItem]) -> AckBatchReply:
        """Report up to 512 jobs as completed. Each item succeeds or fails separately."""
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
        """Report an attempt as failed. The reply has the time of the next attempt, if any.

        `retry=False` makes the job dead; `cancel=True` makes it cancelled. Raises `LeaseLost` if
        the attempt has lost its lease, `InvalidState`, `NotFound`.
        """
        members: dict[str, Any] = {"backtrace": backtrace, "lease_token": lease_token}
        if not retry:
            members["retry"] = False
        if cancel:
            members["cancel"] = True
        return self._send(calls.fail(job, error, members))

    def fail_batch(self, fails: Iterable[FailItem]) -> FailBatchReply:
        """Report up to 512 attempts as failed. Each item succeeds or fails separately."""
        return self._send(calls.fail_batch(fails))

    def release(
        self,
        job: AnyJob,
        *,
        delay: AnySeconds | None = None,
        checkpoint: Any = None,
        lease_token: str | None = None,
    ) -> ReleaseReply:
        """Release a job. The attempt does not count; the next one can start after `delay`.

        `checkpoint` replaces the checkpoint of the job unless it is None. Raises `LeaseLost` if the
        attempt has lost its lease, `InvalidState`, `NotFound`.
        """
        members = {"delay": delay, "checkpoint": checkpoint, "lease_token": lease_token}
        return self._send(calls.release(job, members))

    def release_batch(self, releases: Iterable[ReleaseItem]) -> ReleaseBatchReply:
        """Release up to 512 jobs. Each item succeeds or fails separately."""
        return self._send(calls.release_batch(releases))

    def heartbeat(
        self, jobs: Mapping[str, HeartbeatJob], *, worker_id: str | None = None
    ) -> HeartbeatReply:
        """Extend the leases of these jobs (by job id), and report their progress.

        For each job, the reply tells the worker to continue, or to stop and why.
        """
        return self._send(calls.heartbeat(jobs, worker_id))
