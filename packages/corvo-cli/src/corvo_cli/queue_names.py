"""Find out whether a queue that nothing matched in exists."""

import difflib
from typing import TYPE_CHECKING

import corvo_client
from corvo_cli.session import Session

if TYPE_CHECKING:
    from corvo_schema import SearchFilter


def unknown_queue(session: Session, filters: "SearchFilter | None") -> str | None:
    """Return a sentence if the queue of these filters does not exist, with the nearest name."""
    wanted = None if filters is None else filters.queue
    if wanted is None:
        return None
    try:
        names = [queue.name for queue in session.ask(corvo_client.calls.list_queues()).value]
    except corvo_client.ApiError:  # the key may not list queues
        return None
    if wanted in names:
        return None
    close = difflib.get_close_matches(wanted, names, n=1)
    hint = f"Did you mean {close[0]}?" if close else "`corvo queues` lists the queues."
    return f"There is no queue {wanted!r}. {hint}"
