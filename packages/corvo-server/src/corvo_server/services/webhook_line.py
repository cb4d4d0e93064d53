"""The line of deliveries to one receiver."""

import asyncio
import logging

import orjson

from corvo_schema import FetchRequest
from corvo_schema.webhooks import delivery_queue
from corvo_server.engine.attempts import Ack, Attempts, Fail, leases_of
from corvo_server.engine.clock import Wall
from corvo_server.engine.errors import CallError
from corvo_server.engine.webhook_feed import ID_TAG
from corvo_server.engine.webhooks import Webhooks
from corvo_server.store.protocol import StoreError
from corvo_server.store.records import LeasedJob
from corvo_server.store.webhooks import WebhookRecord
from corvo_server.webhooks import signing
from corvo_server.webhooks.sender import TIMEOUT, Sender, SendError

log = logging.getLogger(__name__)

_AT_ONCE = 8
"""Maximum number of requests to one receiver at a time."""
_LEASE = 2 * round(TIMEOUT)
"""Seconds. When a server dies, another one repeats its deliveries after that."""
_POLL = 30
"""Seconds that a fetch waits for a delivery."""
_PAUSE = 0.2
"""Seconds after a fetch without a delivery."""
_FAILING = 3
"""Number of failures in a row from which the receiver gets one request at a time, with pauses."""
_LONGEST_PAUSE = 60.0
"""Seconds. Pauses double up to that, so that an outage does not use up the attempts of many."""
_GONE = 410


class Line:
    """Fetches the deliveries of one webhook and sends them. Runs until it is cancelled."""

    def __init__(
        self,
        record: WebhookRecord,
        *,
        webhooks: Webhooks,
        attempts: Attempts,
        sender: Sender,
        room: asyncio.Semaphore,
        wall: Wall,
        worker_id: str,
    ) -> None:
        """`room` limits the requests of all lines. `record` may be replaced by its new version."""
        self.record = record
        self._webhooks = webhooks
        self._attempts = attempts
        self._sender = sender
        self._room = room
        self._wall = wall
        self._fetch = FetchRequest.model_validate(
            {
                "queues": [delivery_queue(record.name)],
                "worker_id": worker_id,
                "timeout": _POLL,
                "lease_duration": _LEASE,
                "fenced": True,
            }
        )
        self._active: dict[asyncio.Task[None], LeasedJob] = {}
        self._failures = 0
        """Number of failures since the last success."""

    async def run(self) -> None:
        """Send deliveries until cancelled. Then give back those in progress."""
        try:
            while True:
                await self._pause()
                for job in await self._next():
                    task = asyncio.create_task(self._deliver(job))
                    self._active[task] = job
                    task.add_done_callback(self._active.pop)
        finally:
            unfinished = dict(self._active)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
            self._attempts.return_undelivered(leases_of([*unfinished.values()]))

    async def _pause(self) -> None:
        """Wait until there is room for a request, and longer if the receiver fails."""
        if self._failures >= _FAILING:
            await asyncio.sleep(min(2.0 ** (self._failures - _FAILING), _LONGEST_PAUSE))
        while len(self._active) >= self._at_once:
            await asyncio.wait(self._active, return_when=asyncio.FIRST_COMPLETED)

    @property
    def _at_once(self) -> int:
        return _AT_ONCE if self._failures < _FAILING else 1

    async def _next(self) -> list[LeasedJob]:
        try:
            jobs = await self._attempts.fetch(self._fetch, self._at_once - len(self._active))
        except (StoreError, CallError) as error:
            log.warning("no deliveries of webhook %s were fetched: %s", self.record.name, error)
            jobs = []
        if not jobs:
            await asyncio.sleep(_PAUSE)
        return jobs

    async def _deliver(self, job: LeasedJob) -> None:
        try:
            if orjson.loads(job.tags or "{}").get(ID_TAG) != self.record.id:
                await self._fail(job, "the webhook was deleted", is_cancel=True)
                return
            async with self._room:
                error, is_gone = await self._send(job)
            if error is None:
                self._failures = 0
                await self._attempts.ack([Ack(job.head.id, job.head.lease_token, None)])
                return
            self._failures += 1
            await self._fail(job, error, may_retry=not is_gone)
            if is_gone:
                log.warning("webhook %s is disabled: %s", self.record.name, error)
                await self._webhooks.disable(self.record, error)
        except (StoreError, CallError) as error:  # the lease ends, and the delivery is repeated
            log.warning(
                "the outcome of a delivery of webhook %s was not stored: %s",
                self.record.name,
                error,
            )

    async def _send(self, job: LeasedJob) -> tuple[str | None, bool]:
        """Send a delivery. Return what went wrong, if anything, and whether the receiver is gone.

        The body of the reply is not kept: it could be from a server that no reader should see.
        """
        body = job.payload.encode()
        now = self._wall()
        signed = signing.headers(self.record.secrets(now), job.head.id, now // 1000, body)
        try:
            status = await self._sender.post(self.record.url, body, signed)
        except SendError as error:
            return str(error), False
        if 200 <= status < 300:
            return None, False
        if status == _GONE:
            return f"the receiver wants no more events: it answered {_GONE}", True
        return f"the receiver answered {status}", False

    async def _fail(
        self, job: LeasedJob, error: str, *, may_retry: bool = True, is_cancel: bool = False
    ) -> None:
        await self._attempts.fail(
            [Fail(job.head.id, job.head.lease_token, error, None, may_retry, is_cancel)]
        )
