from collections.abc import Callable

import pytest

from corvo_client.worker._leases import Lease
from corvo_client.worker._slots import Slots

MakeLease = Callable[..., Lease]


@pytest.fixture
def started() -> list[Lease]:
    return []


@pytest.fixture
async def slots(started: list[Lease]) -> Slots:
    return Slots(2, started.append)


def test_jobs_start_while_slots_are_free_and_then_wait_in_line(
    slots: Slots, started: list[Lease], make_lease: MakeLease
) -> None:
    first, second, third, fourth = leases = [make_lease() for _ in range(4)]
    for lease in leases:
        slots.put(lease)
    assert started == [first, second]
    assert (slots.free, slots.taken, slots.waiting) == (0, 2, 2)
    slots.give_back()
    assert started == [first, second, third]
    assert (slots.taken, slots.waiting, slots.finished) == (2, 1, 1)
    slots.give_back()
    assert started == [first, second, third, fourth]
    slots.give_back()
    slots.give_back()
    assert (slots.free, slots.taken, slots.waiting, slots.finished) == (2, 0, 0, 4)


def test_those_in_line_can_be_taken_out(
    slots: Slots, started: list[Lease], make_lease: MakeLease
) -> None:
    leases = [make_lease() for _ in range(4)]
    for lease in leases:
        slots.put(lease)
    assert slots.clear_waiting() == leases[2:]
    slots.give_back()
    assert started == leases[:2]
    assert slots.free == 1
