"""The leader's services run on one node at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import count
from typing import Any, cast

import pytest

from corvo_server.engine.clock import SharedClock
from corvo_server.engine.nodes import Nodes
from corvo_server.engine.notifier import Notifier
from corvo_server.services.leader import LeaderServices
from corvo_server.services.service import Service
from corvo_server.store.nodes import HeartbeatResult, NodeRecord, NodeReport, Reading
from corvo_server.store.protocol import Store, StoreUnavailable
from server_support.bench import turns, until


class Board:
    """The node methods of a shared store, on a clock that the test controls."""

    is_shared = True
    backlog = 0

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.leader: str | None = None
        self.leads_until = 0
        self.reports: dict[str, NodeReport] = {}
        self.trouble: Callable[[], Any] | None = None
        self._numbers = count(1)

    @property
    def node_id(self) -> str:
        """A new id for each server."""
        return f"node_{next(self._numbers)}"

    async def beat(self, report: NodeReport, lease_ms: int) -> HeartbeatResult:
        if self.trouble is not None:
            await self.trouble()
        now = round(self.seconds * 1000)
        self.reports[report.id] = report
        if self.leader in {None, report.id} or self.leads_until <= now:
            self.leader, self.leads_until = report.id, now + lease_ms
        reading = Reading(now, self.seconds, self.seconds)
        return HeartbeatResult(self.leader == report.id, lease_ms, reading)

    async def leave(self, node_id: str) -> None:
        del self.reports[node_id]
        if self.leader == node_id:
            self.leader = None

    async def list_nodes(self) -> list[NodeRecord]:
        now = round(self.seconds * 1000)
        return [NodeRecord(report, now, id_ == self.leader) for id_, report in self.reports.items()]


class Probe(Service):
    """A service that only records whether it runs."""

    name = "probe"

    def __init__(self) -> None:
        self.is_running = False

    async def wait(self) -> None:
        self.is_running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_running = False

    async def run_once(self) -> int:
        return 0


class Server:
    """A node with one leader service."""

    def __init__(self, board: Board) -> None:
        clock = SharedClock(lambda: board.seconds)
        self.clock = clock
        store = cast("Store", board)
        self.nodes = Nodes(store, clock, Notifier(lambda _: None), lambda: board.seconds)
        self.probe = Probe()
        self.lead = LeaderServices(self.nodes, [self.probe], beat=0.001)

    async def beat(self) -> bool:
        """Send a heartbeat. Return whether the service runs after it."""
        await self.lead.run_once()
        await turns()
        return self.probe.is_running


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
async def servers(board: Board) -> AsyncIterator[list[Server]]:
    servers = [Server(board) for _ in range(3)]
    yield servers
    for server in servers:
        await server.lead._stop()
        if server.lead._report is not None:
            server.lead._report.cancel()


async def beat_all(servers: list[Server]) -> list[bool]:
    return [await server.beat() for server in servers]


async def test_one_of_many_nodes_is_the_leader(board: Board, servers: list[Server]) -> None:
    assert await beat_all(servers) == [True, False, False]
    board.seconds += 1
    assert await beat_all(servers) == [True, False, False]


async def test_failed_leader_is_replaced_within_five_seconds(
    board: Board, servers: list[Server]
) -> None:
    await beat_all(servers)
    started = board.seconds
    while not await servers[1].beat():
        board.seconds += 1
    assert board.seconds - started <= 5


async def test_leader_that_leaves_is_replaced_at_once(board: Board, servers: list[Server]) -> None:
    await beat_all(servers)
    await servers[0].nodes.leave()
    assert await servers[1].beat()
    assert not await servers[2].beat()
    nodes = await servers[1].nodes.list()
    assert {node.record.report.id: node.record.is_leader for node in nodes} == {
        servers[1].nodes.id: True,
        servers[2].nodes.id: False,
    }


async def test_leader_without_an_answer_stops_before_another_starts(
    board: Board, servers: list[Server]
) -> None:
    await beat_all(servers)
    board.trouble = asyncio.Event().wait
    board.seconds += 2.5
    waiting = asyncio.ensure_future(servers[0].beat())
    await turns()
    assert servers[0].probe.is_running
    board.seconds += 0.5
    assert not await waiting
    assert board.leads_until / 1000 > board.seconds


async def test_leader_stops_if_the_store_fails(
    board: Board, servers: list[Server], caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise StoreUnavailable("the database is down")

    await beat_all(servers)
    board.trouble = fail
    for seconds, runs in ((1.0, True), (1.0, True), (1.1, False)):
        board.seconds += seconds
        assert await servers[0].beat() is runs
    told = [
        record for record in caplog.records if "heartbeat of this node failed" in record.message
    ]
    assert len(told) == 1
    board.trouble = None
    assert await servers[0].beat()


async def test_suspended_leader_stops_when_it_resumes(board: Board, servers: list[Server]) -> None:
    await beat_all(servers)
    board.seconds += 60
    assert await servers[1].beat()
    assert not await servers[0].beat()
    assert await servers[1].beat()


async def test_late_answer_makes_no_leader(board: Board, servers: list[Server]) -> None:
    async def take_long() -> None:
        board.seconds += 3.5

    board.trouble = take_long
    await servers[0].nodes.beat()
    assert servers[0].nodes.remaining_lease <= 0


async def test_services_end_with_the_leader_lease(board: Board, servers: list[Server]) -> None:
    server = servers[0]
    running = asyncio.create_task(server.lead.run())
    await until(lambda: server.probe.is_running)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert not server.probe.is_running


async def test_bug_is_logged_with_its_traceback(
    board: Board, servers: list[Server], caplog: pytest.LogCaptureFixture
) -> None:
    async def break_down() -> None:
        raise ZeroDivisionError

    board.trouble = break_down
    with caplog.at_level(logging.WARNING):
        await servers[0].beat()
    assert "ZeroDivisionError" in caplog.text


async def test_nodes_agree_on_the_time(board: Board, servers: list[Server]) -> None:
    await beat_all(servers)
    board.seconds += 1
    assert {round(server.clock() / 10) for server in servers} == {round(board.seconds * 100)}
