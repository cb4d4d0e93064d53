"""The queues that a key may see and use."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate

from corvo_schema.webhooks import is_delivery_queue

_MAX_KNOWN = 1024
"""Maximum number of names whose result a scope keeps."""


class Scope:
    """A set of queues, given by patterns: `*` stands for any characters, `?` for one."""

    __slots__ = ("_known", "_pattern", "globs")

    def __init__(self, globs: Sequence[str]) -> None:
        self.globs = tuple(globs)
        self._pattern = re.compile("|".join(map(translate, self.globs)))
        self._known: dict[str, bool] = {}

    def __contains__(self, queue: str) -> bool:
        known = self._known.get(queue)
        if known is None:
            # Deliveries of webhooks are events of all queues.
            known = self._pattern.fullmatch(queue) is not None and not is_delivery_queue(queue)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[queue] = known
        return known

    def outside(self, queues: Iterable[str]) -> list[str]:
        """Return those of `queues` that are not in the scope."""
        return [queue for queue in queues if queue not in self]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scope) and other.globs == self.globs

    def __hash__(self) -> int:
        return hash(self.globs)

    def __repr__(self) -> str:
        return f"Scope({', '.join(self.globs)})"
