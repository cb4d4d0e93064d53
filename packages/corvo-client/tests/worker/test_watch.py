import asyncio

import pytest

from corvo_client.worker._watch import LoopWatch


def inside_a_slow_handler(watch: LoopWatch) -> None:
    """Simulate a blocking handler: check the loop while its thread is in this function."""
    watch.check(100.0)
    watch.check(101.9)


async def test_a_loop_that_is_not_blocked_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch(asyncio.get_running_loop(), limit=2.0)
    for second in range(0, 100, 10):
        watch.check(float(second))
        await asyncio.sleep(0)
    assert not caplog.records


async def test_a_blocked_loop_is_reported_once_with_its_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = LoopWatch(asyncio.get_running_loop(), limit=2.0)
    inside_a_slow_handler(watch)
    assert not caplog.records
    watch.check(102.0)
    watch.check(107.0)
    (record,) = caplog.records
    assert "blocked the event loop for 2.0 s" in record.getMessage()
    assert "test_a_blocked_loop_is_reported_once" in record.getMessage()


async def test_a_loop_that_blocks_again_is_reported_again(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch(asyncio.get_running_loop(), limit=2.0)
    for start in (0.0, 10.0):
        watch.check(start)
        watch.check(start + 3)
        await asyncio.sleep(0)
    assert len(caplog.records) == 2


def test_a_closed_loop_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    watch = LoopWatch(loop)
    loop.close()
    watch.check(0.0)
    assert not caplog.records
