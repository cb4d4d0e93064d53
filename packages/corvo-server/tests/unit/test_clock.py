"""The clock that nodes share, between two readings of the database's clock; and jumps of clocks."""

from typing import cast

import pytest

from corvo_server.engine.clock import MachineClock, SharedClock, lower_bound_of, system_clock
from corvo_server.engine.nodes import Nodes
from corvo_server.engine.notifier import Notifier
from corvo_server.store.nodes import HeartbeatResult, NodeReport, Reading, steady_clock
from corvo_server.store.protocol import Store, StoreUnavailable
from server_support.clock import START, TwoClocks


class Steady:
    """A steady clock that only the test advances."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def clock(steady: Steady) -> SharedClock:
    """A clock after one reading: 5_000_000 ms, at a moment between 999.99 s and 1000 s."""
    clock = SharedClock(steady)
    clock.adjust(Reading(5_000_000, asked=999.99, answered=1000.0))
    return clock


def test_clock_shows_this_machines_time_before_the_first_reading() -> None:
    assert abs(SharedClock()() - system_clock()) < 1000
    assert steady_clock() <= steady_clock()


def test_clock_shows_the_reading_and_advances(steady: Steady, clock: SharedClock) -> None:
    assert 5_000_000 <= clock() <= 5_000_011
    steady.seconds += 60
    assert 5_060_000 <= clock() <= 5_060_011


def test_slow_reading_changes_nothing(steady: Steady, clock: SharedClock) -> None:
    steady.seconds = 1010.0
    shown = clock()
    clock.adjust(Reading(5_010_000, asked=1000.0, answered=1010.0))
    assert abs(clock() - shown) <= 6  # as imprecise as before


def test_fast_reading_is_more_precise_than_a_slow_one(steady: Steady, clock: SharedClock) -> None:
    clock.adjust(Reading(5_000_008, asked=1000.0, answered=1000.0))
    assert 5_000_008 <= clock() <= 5_000_009


def test_clock_follows_a_faster_clock(steady: Steady, clock: SharedClock) -> None:
    told = 5_000_000.0
    for _ in range(1000):
        steady.seconds += 1
        told += 1000.3
        clock.adjust(Reading(int(told), steady.seconds - 0.002, steady.seconds))
    assert abs(clock() - told) < 5


@pytest.mark.parametrize("now", [4_000_000, 5_000_100, 9_000_000])
def test_clock_follows_a_clock_that_was_set_at_once(now: int, clock: SharedClock) -> None:
    clock.adjust(Reading(now, asked=1000.0, answered=1000.0))
    assert now <= clock() <= now + 1


def test_lower_bound_is_never_ahead(steady: Steady, clock: SharedClock) -> None:
    assert lower_bound_of(clock)() <= 5_000_000
    assert lower_bound_of(system_clock) is system_clock
    steady.seconds += 10
    assert 5_009_990 <= clock.lower_bound() <= 5_010_000 <= clock()
    assert SharedClock(steady).lower_bound() < system_clock() - 1000


# Jumps of the database's clock


class Database:
    """The node methods of a shared store, whose clock jumps by `jump` ms."""

    is_shared = True
    backlog = 0

    def __init__(self) -> None:
        self.steady = Steady()
        self.steady_of: dict[str, Steady] = {}
        """The steady clock of each node."""
        self.jump = 0
        self.wall_offset = 0
        self.newest: int | None = None
        self.leader: str | None = None
        self.is_writable = True
        self.node_id = "a"

    async def beat(self, report: NodeReport, lease_ms: int) -> HeartbeatResult:
        self.leader = self.leader or report.id
        now = round(self.steady.seconds * 1000) + self.jump
        seconds = self.steady_of[report.id].seconds
        reading = Reading(now, seconds, seconds)
        return HeartbeatResult(
            self.leader == report.id, lease_ms, reading, self.wall_offset, self.newest
        )

    async def set_wall_offset(self, expected: int, offset: int) -> bool:
        if not self.is_writable:
            raise StoreUnavailable("disk full")
        is_set = self.wall_offset == expected
        self.wall_offset = offset if is_set else self.wall_offset
        return is_set

    def node(self, name: str, steady: Steady | None = None) -> tuple[Nodes, SharedClock]:
        self.node_id = name
        steady = self.steady_of[name] = steady or self.steady
        clock = SharedClock(steady)
        return Nodes(cast("Store", self), clock, Notifier(lambda _: None), steady), clock


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.mark.parametrize("jump", [-3_600_000, 3_600_000, 777_600_000])
async def test_no_node_follows_a_jump_of_the_database(jump: int, database: Database) -> None:
    (leader, one), (follower, other) = database.node("a"), database.node("b")
    await leader.beat()
    await follower.beat()
    database.jump = jump
    database.steady.seconds += 1
    for beat in (follower.beat, leader.beat, follower.beat, leader.beat):
        await beat()
        assert abs(one() - 1_001_000) < 2
        assert abs(other() - 1_001_000) < 2
    assert abs(one.wall.offset - jump) < 2
    assert one.wall.offset == other.wall.offset == database.wall_offset
    assert (one.wall.jumps, other.wall.jumps) == (1, 0)


async def test_suspended_node_adjusts_its_own_time(database: Database) -> None:
    own = Steady()
    (leader, _), (suspended, clock) = database.node("a"), database.node("b", own)
    await leader.beat()
    await suspended.beat()
    database.steady.seconds += 3_600
    for _ in range(4):
        await leader.beat()
        await suspended.beat()
    assert abs(clock() - 4_600_000) < 2
    assert (clock.wall.offset, database.wall_offset) == (0, 0)


async def test_jump_is_stored_once_the_store_can_be_written(database: Database) -> None:
    node, clock = database.node("a")
    await node.beat()
    database.jump, database.is_writable = -3_600_000, False
    await node.beat()
    assert database.wall_offset == 0
    database.is_writable = True
    database.steady.seconds += 1
    await node.beat()
    assert abs(database.wall_offset + 3_600_000) < 2
    assert abs(clock() - 1_001_000) < 2


async def test_first_node_begins_at_the_newest_time_of_the_store(database: Database) -> None:
    database.newest = 4_600_000
    node, clock = database.node("a")
    await node.beat()
    assert abs(clock() - 4_600_000) < 2
    assert clock.lower_bound() <= clock()
    assert abs(database.wall_offset + 3_600_000) < 2
    follower, other = database.node("b")
    await follower.beat()
    assert abs(other() - clock()) < 2


# Jumps of a machine's clock


async def test_listeners_hear_of_a_jump_once(caplog: pytest.LogCaptureFixture) -> None:
    clocks = TwoClocks()
    heard: list[int] = []
    clocks.wall.on_jump(lambda: heard.append(clocks.wall.offset))
    clocks.jump(-3_600_000)
    for _ in range(3):
        clocks.forward(1_000)
    assert heard == [-3_600_000]
    (record,) = caplog.records
    assert "this machine's clock jumped back by 3600.0 s" in record.message
    assert "correct the clock" in record.message


def test_resume_goes_on_from_the_stored_offset() -> None:
    clocks = TwoClocks(START + 5_000)
    clocks.resume(5_000, START)
    assert (clocks(), clocks.wall()) == (START, START + 5_000)
    clocks.resume(5_000, START + 100_000)
    assert (clocks(), clocks.wall.offset) == (START + 100_000, -95_000)


def test_true_clocks_agree() -> None:
    clock = MachineClock()
    clock.observe()
    assert abs(clock() - system_clock()) < 1_000
    assert clock.wall.offset == 0
