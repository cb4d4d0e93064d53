"""Find out whether a queue that nothing matched in exists."""

import difflib
from collections.abc import Mapping
from typing import Any

import corvo_client
from corvo_cli.session import Session


def unknown_queue(session: Session, filters: Mapping[str, Any] | None) -> str | None:
    """Return a sentence if the queue of these filters does not exist, with the nearest name."""
    wanted = (filters or {}).get("queue")
    if not isinstance(wanted, str):
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
