"""Client method that follows job events."""

from collections.abc import AsyncGenerator, Iterable

from corvo_client._async.base import AsyncBase
from corvo_client._calls import events as calls
from corvo_client._options import AnyEventType
from corvo_schema import JobEvent


class AsyncEvents(AsyncBase):
    """Follow the server's event log."""

    def follow_events(
        self,
        *,
        queues: Iterable[str] | str = (),
        job_ids: Iterable[str] | str = (),
        types: Iterable[AnyEventType] | AnyEventType = (),
        after: int | None = None,
    ) -> AsyncGenerator[JobEvent]:
        """Yield job events in order, as they occur. An event must match all filters.

        The stream starts after the event id `after`, as far back as the log is kept, or now. If the
        connection breaks, the client reconnects and continues after the last event; only the first
        connection must succeed within `retry`. Close the generator if you stop early, e.g. with
        `contextlib.aclosing`: that ends the request. Raises `CorvoError` for permanent errors.
        """
        stream = calls.follow_events(queues=queues, job_ids=job_ids, types=types, after=after)
        return self._follow(stream)
