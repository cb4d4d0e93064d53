"""The model of maintenance."""

from server_support.model.ground import Ground
from server_support.model.parts import DAY, WAITING, S


class Services(Ground):
    """Promote, reclaim, expire, prune."""

    def promote(self) -> int:
        """Promote the due jobs."""
        due = [
            job
            for job in self.jobs.values()
            if job.state in (S.SCHEDULED, S.RETRYING) and (job.scheduled_at or 0) <= self.now
        ]
        for job in due:
            job.state = S.PENDING
        return len(due)

    def reclaim(self) -> int:
        """Reclaim the active jobs whose lease has ended."""
        lapsed = [
            job
            for job in self.jobs.values()
            if job.lease_ends is not None and job.lease_ends <= self.now
        ]
        for job in sorted(lapsed, key=lambda job: job.lease_ends or 0):
            job.token = None
            self._note_failure(job)
            if job.is_cancel_requested:
                self._finish(job, S.CANCELLED)
            elif self._is_expired(job) or not self._has_attempts(job):
                self._finish(job, S.DEAD)
            else:
                self._unlease(job, S.PENDING)
        return len(lapsed)

    def expire(self) -> int:
        """End the waiting jobs that have expired."""
        late = [job for job in self.jobs.values() if job.state in WAITING and self._is_expired(job)]
        for job in sorted(late, key=lambda job: job.expire_at or 0):
            self._note_failure(job)
            self._finish(job, S.DEAD)
        return len(late)

    def prune(self) -> None:
        """Delete finished jobs after their retention."""
        for job in list(self.jobs.values()):
            kept = 30 * DAY if job.state is S.DEAD else 7 * DAY
            if job.finished_at is not None and job.finished_at <= self.now - kept:
                del self.jobs[job.id]
                self.deleted[job.id] = None
        for job in self.jobs.values():
            job.is_history_pruned = True
        of_jobs = {job.batch for job in self.jobs.values()}
        for batch_id, batch in list(self.batches.items()):
            ended = batch.finished_at
            if batch_id not in of_jobs and ended is not None and ended <= self.now - 7 * DAY:
                del self.batches[batch_id]
        for bulk_id, bulk in list(self.bulks.items()):
            if bulk.finished_at is not None and bulk.finished_at <= self.now - 7 * DAY:
                del self.bulks[bulk_id]
