# Generated from src/corvo_client/_async/relay.py by scripts/gen_sync.py. Do not edit.
"""Sends what an outbox has."""

import logging
from collections.abc import Sequence

from corvo_client._backoff import Backoff
from corvo_client._errors import ApiError
from corvo_client._outbox import (
    MAY_BE_ONE_ROW,
    MOST_BYTES,
    MOST_ERROR,
    Row,
    Sent,
    Store,
    enqueue_rows,
    size_of,
)
from corvo_client._pauses import Pause
from corvo_client._sync.client import Client

_log = logging.getLogger("corvo.outbox")


class RelayLoop:
    """Sends the committed rows of an outbox to the server, and removes them once it has them.

    Any number of relays may work on one outbox. One that dies between sending and removing leaves
    rows that are sent again: their job ids make that one job.
    """

    def __init__(
        self,
        store: Store,
        client: Client,
        *,
        batch_size: int = 500,
        poll_interval: float = 0.5,
    ) -> None:
        self._store = store
        self._client = client
        self._batch_size = batch_size
        self._poll_interval = poll_interval
        self._pause = Pause()
        self._backoff = Backoff(base=0.5, cap=15.0)

    def run_once(self) -> int:
        """Send the oldest rows, up to a batch of them; return how many there were.

        A row that the server will never take is kept with its error, and logged. Raises what the
        client and the database raise; then all rows are as they were, and may have been sent.
        """
        return self._store.deliver(self._batch_size, self._send)

    def run(self) -> None:
        """Send what is committed, for ever or until `stop`; what goes wrong is tried again."""
        while not self._pause.is_over:
            try:
                count = self.run_once()
            except Exception as error:  # noqa: BLE001 - a relay that ends would hold up every job
                if self._backoff.is_news:
                    _log.warning("the outbox is not relayed at present, trying on: %r", error)
                self._pause.wait(self._backoff.next())
                continue
            self._backoff.reset()
            if count < self._batch_size:
                self._pause.wait(self._poll_interval)
        self._pause = Pause()

    def stop(self) -> None:
        """End `run` once the batch at hand is done."""
        self._pause.stop()

    def _send(self, rows: Sequence[Row]) -> Sent:
        if len(rows) > 1 and size_of(rows) > MOST_BYTES:
            return self._send_apart(rows)
        try:
            self._client.send(enqueue_rows(rows))
        except ApiError as error:
            if error.code not in MAY_BE_ONE_ROW:
                raise
            if len(rows) > 1:
                return self._send_apart(rows)
            _log.error("the job %s of the outbox was refused: %s", rows[0].job_id, error)
            return Sent(refused={rows[0].seq: str(error)[:MOST_ERROR]})
        return Sent(taken=[row.seq for row in rows])

    def _send_apart(self, rows: Sequence[Row]) -> Sent:
        middle = len(rows) // 2
        first = self._send(rows[:middle])
        return first + self._send(rows[middle:])
