"""The client's method that follows what happens to jobs."""

from collections.abc import AsyncGenerator, Iterable

from corvo_client._async.base import AsyncBase
from corvo_client._calls import events as calls
from corvo_client._options import AnyEventType
from corvo_schema import JobEvent


class AsyncEvents(AsyncBase):
    """Follow the server's log of events."""

    def follow_events(
        self,
        *,
        queues: Iterable[str] | str = (),
        job_ids: Iterable[str] | str = (),
        types: Iterable[AnyEventType] | AnyEventType = (),
        after: int | None = None,
    ) -> AsyncGenerator[JobEvent]:
        """Yield what happens to jobs, in order, as it happens; filters that are given all apply.

        From now on, or from after the event with the id `after`, as far back as the log is kept.
        A connection that breaks is made again and goes on where it broke, for as long as the client
        is open; only the first must succeed within the client's `retry`. Whoever stops early should
        close the generator, e.g. with `contextlib.aclosing`: that ends the request. Raises
        `CorvoError` for what will not pass, such as an unknown type.
        """
        stream = calls.follow_events(queues=queues, job_ids=job_ids, types=types, after=after)
        return self._follow(stream)
