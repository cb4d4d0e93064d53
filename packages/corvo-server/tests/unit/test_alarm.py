"""Alarms, which wait for the time at which a service has to act."""

import asyncio

import pytest

from corvo_server.engine.alarm import Alarm
from server_support.bench import turns
from server_support.clock import START, ManualClock, forward_loop


@pytest.fixture
def alarm(clock: ManualClock) -> Alarm:
    return Alarm(clock)


async def rings(alarm: Alarm) -> bool:
    """Return whether a wait that starts now returns at once."""
    waiting = asyncio.ensure_future(alarm.wait())
    await turns()
    is_over = waiting.done()
    waiting.cancel()
    return is_over


async def test_alarm_without_a_time_never_ends(alarm: Alarm) -> None:
    assert not await rings(alarm)
    alarm.bring_forward(None)
    assert not await rings(alarm)


@pytest.mark.parametrize("early", [0, 1, START])
async def test_alarm_ends_at_once_if_its_time_has_passed(alarm: Alarm, early: int) -> None:
    alarm.bring_forward(START - early)
    assert await rings(alarm)


async def test_alarm_does_not_end_before_its_time(alarm: Alarm, clock: ManualClock) -> None:
    alarm.bring_forward(START + 60_000)
    assert not await rings(alarm)
    clock.forward(60_000)
    assert await rings(alarm)


async def test_earlier_time_shortens_the_wait(alarm: Alarm) -> None:
    alarm.bring_forward(START + 60_000)
    waiting = asyncio.ensure_future(alarm.wait())
    await turns()
    alarm.bring_forward(START)
    await asyncio.wait_for(waiting, 5)


async def test_time_set_during_a_wait_ends_it(alarm: Alarm) -> None:
    waiting = asyncio.ensure_future(alarm.wait())
    await turns()
    alarm.bring_forward(START)
    await asyncio.wait_for(waiting, 5)


async def test_later_time_changes_nothing(alarm: Alarm, clock: ManualClock) -> None:
    alarm.bring_forward(START + 10)
    alarm.bring_forward(START + 20)
    clock.forward(10)
    assert await rings(alarm)


async def test_wait_reads_the_clock_again_at_its_end(alarm: Alarm, clock: ManualClock) -> None:
    looks = 0

    def slow_clock() -> int:
        nonlocal looks
        looks += 1
        return START if looks < 3 else START + 1

    await asyncio.wait_for(_ring_after_a_millisecond(Alarm(slow_clock)), 5)
    assert looks >= 3


async def _ring_after_a_millisecond(alarm: Alarm) -> None:
    alarm.bring_forward(START + 1)
    await alarm.wait()


async def test_cleared_alarm_does_not_end(alarm: Alarm) -> None:
    alarm.bring_forward(START)
    alarm.clear()
    assert not await rings(alarm)


async def test_alarm_notices_time_that_the_loop_did_not_count(
    alarm: Alarm, clock: ManualClock
) -> None:
    alarm.bring_forward(START + 60_000)
    waiting = asyncio.ensure_future(alarm.wait())
    await turns()
    clock.forward(60_000)  # the machine was suspended
    forward_loop(1.0)
    await asyncio.wait_for(waiting, 5)
