"""Stream of job events."""

from collections.abc import Iterable
from urllib.parse import urlencode

from corvo_client._call import API
from corvo_client._codec import reader
from corvo_client._options import AnyEventType
from corvo_client._stream import Stream
from corvo_schema import JobEvent

_read_event = reader(JobEvent)


def follow_events(
    *,
    queues: Iterable[str] | str = (),
    job_ids: Iterable[str] | str = (),
    types: Iterable[AnyEventType] | AnyEventType = (),
    after: int | None = None,
) -> Stream[JobEvent]:
    """Return the stream of events that match all filters, after an event id or from now on."""
    filters = {"queues": _joined(queues), "job_ids": _joined(job_ids), "types": _joined(types)}
    query = urlencode({name: text for name, text in filters.items() if text}, safe=",")
    path = f"{API}/events?{query}" if query else f"{API}/events"
    return Stream(path, _read_event, after=None if after is None else str(after))


def _joined(values: Iterable[str] | str) -> str:
    return values if isinstance(values, str) else ",".join(values)
