"""The actions of bulk operations."""

from typing import NamedTuple


class Action(NamedTuple):
    """An action: its name in the API, its words in messages, and the states that allow it.

    It applies to jobs in the states of `default` unless the command line names states.
    """

    api: str
    verb: str
    done: str
    states: frozenset[str]
    default: tuple[str, ...] = ()


_ENDED = frozenset({"completed", "dead", "cancelled"})
_WAITING = frozenset({"pending", "scheduled", "retrying"})

RETRY = Action("retry", "retry", "Retried", _ENDED, default=("cancelled", "dead"))
REQUEUE = Action("requeue", "requeue", "Requeued", frozenset({"dead"}))
CANCEL = Action("cancel", "cancel", "Cancelled", _WAITING | {"active"})
MOVE = Action("move", "move", "Moved", _ENDED | _WAITING)
PRIORITY = Action("change_priority", "change the priority of", "Changed", _WAITING)
DELETE = Action("delete", "delete", "Deleted", _ENDED | _WAITING)
