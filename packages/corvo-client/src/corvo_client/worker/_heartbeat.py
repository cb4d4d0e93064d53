"""Heartbeat thread: extends leases even while a handler blocks the event loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from corvo_client._backoff import Backoff
from corvo_client.worker._api import HeartbeatSender, Refused, RequestFailed, StorageFull
from corvo_client.worker._description import text_of
from corvo_client.worker._leases import Interruption, Lease, LeaseTable
from corvo_client.worker._log import log as _log
from corvo_client.worker._watch import LoopWatch
from corvo_schema.attempts import HeartbeatJob, HeartbeatRequest
from corvo_schema.outcomes import HeartbeatJobReply

_MAX_INTERVAL = 15.0
_TICK_SECONDS = 0.5
_MAX_JOBS = 500
_LOST_REASONS = frozenset({"lease_lost", "not_found", "finished"})


class Heartbeat:
    """Extends all leases every 15 s, or after a third of the shortest lease if that is less.

    A request has up to 500 leases. After a note (progress or checkpoint) the next heartbeat follows
    within 0.5 s. The last heartbeat signs the worker off. `on_interrupt` is called in this thread
    for each handler that must stop.
    """

    def __init__(
        self,
        *,
        leases: LeaseTable,
        heartbeat_sender: HeartbeatSender,
        worker_id: str,
        on_interrupt: Callable[[Lease, Interruption], None],
        watch: LoopWatch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._heartbeat_sender = heartbeat_sender
        self._worker_id = worker_id
        self._on_interrupt = on_interrupt
        self._watch = watch
        self._clock = clock
        self._backoff = Backoff(base=0.5, cap=5.0)
        self._last_beat = clock()
        self._retry_at = 0.0
        self._has_notes = False
        self._flushes: list[Future[bool]] = []
        self._is_stopping = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="corvo-heartbeat", daemon=True)
        self._ended: Future[None] = Future()

    @property
    def interval(self) -> float:
        """Seconds between heartbeats."""
        return min(_MAX_INTERVAL, self._leases.shortest / 3)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end, at once or after the request in flight."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify()

    def join(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the thread to end."""
        self._thread.join(timeout)

    async def ended(self) -> None:
        """Wait for the end of the thread, without a thread of asyncio: handlers may take all."""
        await asyncio.wrap_future(self._ended)

    def poke(self) -> None:
        """Request an early heartbeat, because a lease has notes. Any thread may call this often."""
        self._has_notes = True

    def flush(self) -> Future[bool]:
        """Send a heartbeat now. The result is True if the server has all notes made so far."""
        flush: Future[bool] = Future()
        with self._condition:
            if self._is_stopping:
                flush.set_result(False)
            else:
                self._flushes.append(flush)
                self._condition.notify()
        return flush

    def _run(self) -> None:
        while not self._is_stopping:
            with self._condition:
                self._condition.wait_for(
                    lambda: self._is_stopping or self._flushes, min(_TICK_SECONDS, self.interval)
                )
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - after a bug, leases must still be extended
                _log.exception("the heartbeat failed with an unexpected error, retrying")
        with self._condition:
            for flush in self._flushes:
                flush.set_result(False)
        self._sign_off()
        self._heartbeat_sender.close()
        self._ended.set_result(None)

    def _sign_off(self) -> None:
        """Tell the server that the worker has stopped. Without that, it becomes `silent`."""
        # Older servers ignore the field.
        try:
            self._heartbeat_sender.beat(HeartbeatRequest(worker_id=self._worker_id, stopped=True))
        except Exception as error:  # noqa: BLE001 - the worker ends in any case
            _log.debug("cannot sign off: %s", error)

    def tick(self) -> None:
        """Check the event loop, and send a heartbeat if one is due."""
        now = self._clock()
        self._watch.check(now)
        is_time = now >= self._last_beat + self.interval or self._has_notes
        if self._flushes or (is_time and now >= self._retry_at):
            self._beat(now)

    def _beat(self, now: float) -> None:
        with self._condition:
            flushes, self._flushes = self._flushes, []
        is_delivered = False
        try:
            is_delivered = self._send_all(now)
        finally:
            for flush in flushes:
                flush.set_result(is_delivered)

    def _send_all(self, now: float) -> bool:
        self._has_notes = False
        leases = list(self._leases)
        is_delivered = True
        for start in range(0, len(leases), _MAX_JOBS):
            is_delivered = self._send(leases[start : start + _MAX_JOBS]) and is_delivered
        if is_delivered:
            self._last_beat = now
            self._backoff.reset()
        else:
            self._has_notes = True
            self._retry_at = now + min(self._backoff.next(), self.interval)
        return is_delivered

    def _send(self, leases: Sequence[Lease], *, with_checkpoints: bool = True) -> bool:
        sent_at = self._clock()
        jobs = {
            lease.job.job_id: HeartbeatJob(
                lease_token=lease.job.lease_token,
                checkpoint=lease.unsent_checkpoint if with_checkpoints else None,
                progress=lease.unsent_progress,
            )
            for lease in leases
        }
        try:
            reply = self._heartbeat_sender.beat(
                HeartbeatRequest(worker_id=self._worker_id, jobs=jobs)
            )
        except Refused as error:
            return self._send_apart(leases, error)
        except RequestFailed as error:
            if self._backoff.should_log:
                _log.warning("cannot send heartbeats, retrying: %s", error)
            if isinstance(error, StorageFull) and with_checkpoints:
                # The checkpoints must not cost the jobs their leases. They are sent again later.
                self._send(leases, with_checkpoints=False)
            return False
        for lease in leases:
            sent = jobs[lease.job.job_id]
            answer = reply.jobs.get(lease.job.job_id)
            if answer is not None:
                self._apply(answer, lease, sent, sent_at)
        return True

    def _send_apart(self, leases: Sequence[Lease], error: Refused) -> bool:
        """Split a rejected request, so that one bad note does not cost other jobs their leases."""
        if len(leases) > 1:
            half = len(leases) // 2
            first = self._send(leases[:half])
            return self._send(leases[half:]) and first
        (lease,) = leases
        if lease.unsent_checkpoint is None and lease.unsent_progress is None:
            _log.error("the server rejected the heartbeat of job %s: %s", lease.job.job_id, error)
            return False
        _log.error(
            "the server rejected a checkpoint or progress of job %s, dropping it: %s",
            lease.job.job_id,
            error,
        )
        if lease.unsent_checkpoint is not None:
            lease.rejection = text_of(str(error))
        lease.clear_sent_notes(lease.unsent_checkpoint, lease.unsent_progress)
        return self._send(leases)

    def _apply(
        self, answer: HeartbeatJobReply, lease: Lease, sent: HeartbeatJob, sent_at: float
    ) -> None:
        is_lost = answer.status == "cancel" and answer.reason in _LOST_REASONS
        if not is_lost:
            lease.ends_at = sent_at + lease.duration
            lease.clear_sent_notes(sent.checkpoint, sent.progress)
        # "finished" is expected if the ack of the job is in flight: then it is not running.
        if answer.status == "cancel" and lease.is_running:
            why = Interruption.LOST if is_lost else Interruption.CANCELLED
            self._on_interrupt(lease, why)
