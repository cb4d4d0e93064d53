"""The network between a worker's machine and the server is cut, while its fetches wait."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.conftest import lack
from server_support.waiting import wait_until
from support.api_client import ApiClient, new_name
from support.network import Network, NetworkMissing
from support.server import CorvoServer

FETCHES = 20
FOUND_WITHIN = 20.0
"""Seconds after which all jobs are with another worker: the server needs 12, and the machine."""
PAYLOADS = {"small": "", "large": "x" * 200_000}


@pytest.fixture
def network() -> Iterator[Network]:
    try:
        with Network() as network:
            yield network
    except NetworkMissing as missing:
        lack(str(missing))


@pytest.fixture
def server(tmp_path: Path, network: Network) -> Iterator[CorvoServer]:
    options = {"insecure_no_auth": True}  # nobody else is on the network of the test
    place = {"host": "0.0.0.0", "prefix": network.prefix}  # noqa: S104
    server = CorvoServer(tmp_path / "data", options, **place)
    yield server.start()
    server.close()
    assert not server.errors()


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
async def test_jobs_of_a_worker_that_is_cut_off_are_handed_to_another(
    network: Network, server: CorvoServer, payload: str
) -> None:
    queue = new_name()
    lost = ApiClient(f"http://{network.server_address}:{server.port}")
    async with lost, ApiClient(f"http://{network.own}:{server.port}") as api:
        waiting = [
            asyncio.create_task(lost.try_fetch(queue, worker_id="lost", timeout=60))
            for _ in range(FETCHES)
        ]
        await api.see_waiting(FETCHES)
        network.cut_clients()
        started = time.monotonic()
        ids = [await api.enqueue(queue, payload, max_retries=1) for _ in range(FETCHES)]
        states = [(await api.get(f"/jobs/{job_id}"))["state"] for job_id in ids]
        assert states == ["active"] * FETCHES
        found: set[str] = set()

        async def all_found() -> bool:
            for job in await api.fetch_batch(queue, count=FETCHES, worker_id="other"):
                assert job["attempt"] == 1
                await api.ack(job)
                found.add(job["job_id"])
            return found == set(ids)

        await wait_until(all_found, "another worker gets all jobs", within=FOUND_WITHIN)
        print(f"all jobs were handed out again after {time.monotonic() - started:.1f} s")
        await api.see_waiting(0)
        timeline = (await api.get(f"/jobs/{ids[0]}"))["timeline"]
        reasons = [event["data"].get("reason") for event in timeline if event["type"] == "released"]
        assert reasons == ["not delivered to the worker"]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_fetches_of_a_worker_that_is_cut_off_end(
    network: Network, server: CorvoServer
) -> None:
    queue = new_name()
    lost = ApiClient(f"http://{network.server_address}:{server.port}")
    async with lost, ApiClient(f"http://{network.own}:{server.port}") as api:
        waiting = asyncio.create_task(lost.try_fetch(queue, worker_id="lost", timeout=60))
        await api.see_waiting(1)
        network.cut_clients()
        await asyncio.wait_for(api.see_waiting(0), FOUND_WITHIN)
        job_id = await api.enqueue(queue)
        assert (await api.fetch(queue))["job_id"] == job_id
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
