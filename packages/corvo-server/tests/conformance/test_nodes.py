"""The nodes of a store, and which of them holds the leader lease."""

import asyncio

from corvo_server.store.nodes import HeartbeatResult, NodeReport
from corvo_server.store.protocol import Store
from server_support.waiting import wait_until

LEASE_MS = 60_000


def report_of(node: str, **load: int) -> NodeReport:
    return NodeReport(node, "1.2.3", f"http://{node}:8080", 1_000, **load)


async def is_leader(store: Store, node: str, lease_ms: int = LEASE_MS) -> bool:
    result = await store.beat(report_of(node), lease_ms)
    assert (result.clock is not None) == store.is_shared
    return result.is_leader


async def test_a_single_node_is_the_leader(store: Store) -> None:
    assert await is_leader(store, "a")
    assert await is_leader(store, "a")


async def test_the_leader_lease_has_no_end_on_a_store_with_one_server(store: Store) -> None:
    result = await store.beat(report_of("a"), LEASE_MS)
    if store.is_shared:
        assert result.lease_ms == LEASE_MS
    else:
        assert result == HeartbeatResult(is_leader=True)


async def test_one_of_several_nodes_is_the_leader(store: Store) -> None:
    if not store.is_shared:
        return  # SQLite allows one server only
    standings = await asyncio.gather(*(is_leader(store, node) for node in "abcdef"))
    assert sum(standings) == 1
    again = await asyncio.gather(*(is_leader(store, node) for node in "abcdef"))
    assert again == standings
    nodes = await store.list_nodes()
    assert {node.report.id: node.is_leader for node in nodes} == dict(
        zip("abcdef", standings, strict=True)
    )


async def test_the_leader_lease_is_free_once_it_has_ended(store: Store) -> None:
    if not store.is_shared:
        return
    assert await is_leader(store, "a", lease_ms=50)
    await wait_until(lambda: is_leader(store, "b"), "the lease has ended")
    assert not await is_leader(store, "a")


async def test_the_leader_lease_is_free_once_its_node_has_left(store: Store) -> None:
    assert await is_leader(store, "a")
    await store.leave("a")
    assert await store.list_nodes() == []
    assert await is_leader(store, "b")


async def test_nodes_are_listed_with_their_last_heartbeat(store: Store) -> None:
    if not store.is_shared:
        return
    await store.beat(report_of("a"), LEASE_MS)
    busy = report_of("a", waiting_fetches=3, backlog=2, operations=1)
    result = await store.beat(busy, LEASE_MS)
    (node,) = await store.list_nodes()
    assert node.report == busy
    assert result.clock is not None
    assert abs(node.last_seen - result.clock.now) < 1_000
    assert result.clock.asked <= result.clock.answered
