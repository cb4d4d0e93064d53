"""Which servers work on a store, and which of them has the lead."""

import asyncio

from corvo_server.store.nodes import HeartbeatResult, NodeReport
from corvo_server.store.protocol import Store
from server_support.waiting import wait_until

LEASE_MS = 60_000


def report_of(node: str, **load: int) -> NodeReport:
    return NodeReport(node, "1.2.3", f"http://{node}:8080", 1_000, **load)


async def lead(store: Store, node: str, lease_ms: int = LEASE_MS) -> bool:
    result = await store.beat(report_of(node), lease_ms)
    assert (result.clock is not None) == store.is_shared
    return result.is_leader


async def test_a_node_alone_leads(store: Store) -> None:
    assert await lead(store, "a")
    assert await lead(store, "a")


async def test_a_store_of_one_server_gives_the_lead_for_good(store: Store) -> None:
    result = await store.beat(report_of("a"), LEASE_MS)
    if store.is_shared:
        assert result.lease_ms == LEASE_MS
    else:
        assert result == HeartbeatResult(is_leader=True)


async def test_one_of_several_nodes_leads(store: Store) -> None:
    if not store.is_shared:
        return  # which refuses a second server when it starts
    standings = await asyncio.gather(*(lead(store, node) for node in "abcdef"))
    assert sum(standings) == 1
    again = await asyncio.gather(*(lead(store, node) for node in "abcdef"))
    assert again == standings
    nodes = await store.list_nodes()
    assert {node.report.id: node.is_leader for node in nodes} == dict(
        zip("abcdef", standings, strict=True)
    )


async def test_the_lead_is_free_when_its_lease_has_ended(store: Store) -> None:
    if not store.is_shared:
        return
    assert await lead(store, "a", lease_ms=50)
    await wait_until(lambda: lead(store, "b"), "the lease has ended")
    assert not await lead(store, "a")


async def test_the_lead_is_free_when_its_node_has_left(store: Store) -> None:
    assert await lead(store, "a")
    await store.leave("a")
    assert await store.list_nodes() == []
    assert await lead(store, "b")


async def test_nodes_are_listed_with_what_they_said_last(store: Store) -> None:
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
