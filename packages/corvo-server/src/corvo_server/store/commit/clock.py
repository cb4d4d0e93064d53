"""The verb that stores the offset of the wall clock from the server's time."""

from collections.abc import Sequence

from corvo_server.store.commit.transaction import Transaction


def set_wall_offset(tx: Transaction, requests: Sequence[tuple[int, int]]) -> list[bool]:
    """Replace each expected offset by a new one. Return for each whether it was replaced."""
    return [tx.tables.clock.set_wall_offset(expected, offset) for expected, offset in requests]
