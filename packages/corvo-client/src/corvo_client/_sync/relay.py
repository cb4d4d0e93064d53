# Generated from src/corvo_client/_async/relay.py by scripts/gen_sync.py. Do not edit.
"""Loop that sends the rows of an outbox."""

import logging
from collections.abc import Sequence

from corvo_client._backoff import Backoff
from corvo_client._errors import ApiError
from corvo_client._outbox import (
    MAX_ERROR_CHARS,
    MAX_REQUEST_BYTES,
    MAY_BE_ONE_ROW,
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
    """Sends the committed rows of an outbox to the server and deletes the accepted rows.

    Any number of relays may serve one outbox. If a relay dies between sending and deleting rows,
    the rows are sent again; their job ids prevent duplicate jobs.
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
        """Send one batch of the oldest rows and return their number.

        A row that the server will never accept stays with its error, and is logged. Raises the
        errors of the client and of the database; then no row changes, but some may have been sent.
        """
        return self._store.deliver(self._batch_size, self._send)

    def run(self) -> None:
        """Send committed rows until `stop` is called. Errors are logged and retried."""
        while not self._pause.is_over:
            try:
                count = self.run_once()
            except Exception as error:  # noqa: BLE001 - no error may end the relay
                if self._backoff.should_log:
                    _log.warning("cannot relay the outbox, retrying: %r", error)
                self._pause.wait(self._backoff.next())
                continue
            self._backoff.reset()
            if count < self._batch_size:
                self._pause.wait(self._poll_interval)
        self._pause = Pause()

    def stop(self) -> None:
        """End `run` after the current batch."""
        self._pause.stop()

    def _send(self, rows: Sequence[Row]) -> Sent:
        if len(rows) > 1 and size_of(rows) > MAX_REQUEST_BYTES:
            return self._send_apart(rows)
        try:
            self._client.send(enqueue_rows(rows))
        except ApiError as error:
            if error.code not in MAY_BE_ONE_ROW:
                raise
            if len(rows) > 1:
                return self._send_apart(rows)
            _log.error("the server rejected job %s of the outbox: %s", rows[0].job_id, error)
            return Sent(refused={rows[0].seq: str(error)[:MAX_ERROR_CHARS]})
        return Sent(accepted=[row.seq for row in rows])

    def _send_apart(self, rows: Sequence[Row]) -> Sent:
        middle = len(rows) // 2
        first = self._send(rows[:middle])
        return first + self._send(rows[middle:])
