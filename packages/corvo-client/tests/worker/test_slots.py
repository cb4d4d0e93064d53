import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from corvo_client.worker._leases import Lease
from corvo_client.worker._slots import Slots

MakeLease = Callable[..., Lease]


@pytest.fixture
def started() -> list[Lease]:
    return []


@pytest.fixture
async def slots(started: list[Lease], clock: Any) -> Slots:
    return Slots(2, started.append, clock)


def test_jobs_start_while_slots_are_free_and_then_wait_in_order(
    slots: Slots, started: list[Lease], make_lease: MakeLease
) -> None:
    first, second, third, fourth = leases = [make_lease() for _ in range(4)]
    for lease in leases:
        slots.put(lease)
    assert started == [first, second]
    assert (slots.free, slots.taken, slots.waiting) == (0, 2, 2)
    slots.free_slot()
    assert started == [first, second, third]
    assert (slots.taken, slots.waiting, slots.finished) == (2, 1, 1)
    slots.free_slot()
    assert started == [first, second, third, fourth]
    slots.free_slot()
    slots.free_slot()
    assert (slots.free, slots.taken, slots.waiting, slots.finished) == (2, 0, 0, 4)


def test_waiting_jobs_can_be_removed(
    slots: Slots, started: list[Lease], make_lease: MakeLease
) -> None:
    leases = [make_lease() for _ in range(4)]
    for lease in leases:
        slots.put(lease)
    assert slots.take_waiting() == leases[2:]
    slots.free_slot()
    assert started == leases[:2]
    assert slots.free == 1


def test_jobs_that_have_waited_too_long_can_be_removed(
    slots: Slots, clock: Any, make_lease: MakeLease
) -> None:
    leases = [make_lease() for _ in range(4)]
    for lease in leases:
        slots.put(lease)
        clock.forward(1.0)
    clock.forward(0.5)  # the third has waited for 2.5 s, the fourth for 1.5 s
    assert slots.take_waiting(3.0) == []
    assert slots.take_waiting(2.0) == leases[2:3]
    assert slots.take_waiting(1.0) == leases[3:]


def test_busy_is_the_time_with_running_jobs(
    slots: Slots, clock: Any, make_lease: MakeLease
) -> None:
    clock.forward(5.0)
    assert slots.busy == 0.0
    for _ in range(2):
        slots.put(make_lease())
        clock.forward(1.0)
    assert slots.busy == 2.0
    for _ in range(2):
        slots.free_slot()
        clock.forward(0.25)
    assert slots.busy == 2.25
    slots.put(make_lease())
    clock.forward(1.0)
    assert slots.busy == 3.25


async def test_next_end_waits_until_few_jobs_wait(slots: Slots, make_lease: MakeLease) -> None:
    for _ in range(5):
        slots.put(make_lease())
    end = asyncio.create_task(slots.next_end(max_waiting=1))
    await asyncio.sleep(0)
    slots.free_slot()
    await asyncio.sleep(0)
    assert (end.done(), slots.waiting) == (False, 2)
    slots.free_slot()
    await end
    assert slots.waiting == 1
