"""The primary is lost, and its synchronous standby is promoted."""

import asyncio

from cluster.conftest import StartNodes
from server_support.postgres import PostgresServer
from server_support.waiting import wait_until
from support.fault_run import FaultRun

STREAMING = {"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on"}


async def test_nodes_switch_to_the_promoted_standby_and_lose_nothing(
    start_nodes: StartNodes,
) -> None:
    with PostgresServer(durable=True, settings=STREAMING) as primary:
        primary.init().start()
        with primary.make_standby("standby") as standby:
            standby.start()
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            primary.execute("SELECT pg_reload_conf()")
            await wait_until(lambda: _is_synchronous(primary), "the standby is synchronous")
            url = primary.url("postgres", standby)
            nodes = start_nodes(url)
            async with FaultRun("primary lost", nodes, url) as run:
                await run.more(run.chance.randrange(600, 1200))
                await asyncio.to_thread(primary.kill)
                run.happened["primaries killed"] += 1
                standby.promote()
                await run.more(1500)
                await run.finish()
            assert standby.execute("SELECT pg_is_in_recovery()") == [(False,)]


def _is_synchronous(primary: PostgresServer) -> bool:
    return primary.execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)]
