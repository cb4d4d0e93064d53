"""The limits of the writes that wait: by number, and by the memory that they take."""

from collections.abc import Collection

from corvo_server.store.protocol import StoreOverloaded

_RESERVE = 2
"""Times the limits that work under way may use: acks, fails, heartbeats, services.

So new work is refused first, and the jobs that run can be reported.
"""


class Backlog:
    """Counts the operations that were submitted and not answered yet. Use it on the event loop."""

    def __init__(self, max_operations: int, max_bytes: int) -> None:
        self._max_operations = max_operations
        self._max_bytes = max_bytes
        self.operations = 0
        self.bytes = 0
        """Memory of the operations."""

    def add(self, memory: int, *, is_new_work: bool) -> None:
        """Add an operation of `memory` bytes. Raise `StoreOverloaded` if the backlog is full.

        An operation of any size is added if those that wait take no memory.
        """
        share = 1 if is_new_work else _RESERVE
        is_too_large = self.bytes > 0 and self.bytes + memory > share * self._max_bytes
        if is_too_large or self.operations >= share * self._max_operations:
            raise StoreOverloaded(f"{self.operations} writes of {self.bytes:,} bytes are waiting")
        self.operations += 1
        self.bytes += memory

    def remove(self, memory: Collection[int]) -> None:
        """Remove answered operations; `memory` has the bytes of each."""
        self.operations -= len(memory)
        self.bytes -= sum(memory)
