"""The server works with the amount of memory in the documentation."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from corvo_client import AckItem, AsyncClient
from support.attacks import ATTACKS, Attack, jobs_to_search
from support.container import LOCKED_DOWN, CorvoContainer, MakeContainer

MEMORY = "256m"
BATCHES = 40
JOBS = 500
PAYLOAD = "x" * 4000
WORKERS = 4


def test_load_stays_within_the_limit(make_container: MakeContainer) -> None:
    # 80 MB of payloads do not fit into the limit together with the program.
    container = make_container(mem_limit=MEMORY, memswap_limit=MEMORY, **LOCKED_DOWN).start()
    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(lambda _: enqueue(container), range(BATCHES)))
        done = sum(threads.map(lambda _: work(container), range(WORKERS)))
        list(threads.map(lambda _: search_all(container), range(WORKERS)))
    assert done == BATCHES * JOBS
    state = container.state
    assert (state["Status"], state["OOMKilled"]) == ("running", False)
    assert container.docker.attrs["RestartCount"] == 0
    assert container.run("corvo-server", "check") == (0, "no problems\n")
    assert container.stop()[0] == 0


def test_clients_cannot_exhaust_the_documented_limit(make_container: MakeContainer) -> None:
    limit = "512m"  # the limit of compose.yaml and of the chart, for the default settings
    # Without keys: a stranger's requests would be refused by their heads.
    container = make_container(
        mem_limit=limit,
        memswap_limit=limit,
        env={"CORVO_INSECURE_NO_AUTH": "true"},
        **LOCKED_DOWN,
    ).start()
    with container.client() as client:
        for _ in range(10):
            client.enqueue_batch(jobs_to_search())

    async def attack() -> None:
        attack = Attack(int(container.url.rpartition(":")[2]))
        for part in ATTACKS["all_at_once"]:
            await part(attack)
        await attack.sent()
        async with AsyncClient(container.url) as client:
            assert (await client.enqueue("q", None)).job_id
        await attack.close()

    asyncio.run(attack())
    state = container.state
    assert (state["Status"], state["OOMKilled"]) == ("running", False)
    assert container.docker.attrs["RestartCount"] == 0
    assert container.stop()[0] == 0


def enqueue(container: CorvoContainer) -> None:
    with container.client() as client:
        client.enqueue_batch([{"queue": "q", "payload": PAYLOAD} for _ in range(JOBS)])


def work(container: CorvoContainer) -> int:
    done = 0
    with container.client() as client:
        while jobs := client.fetch_batch(["q"], worker_id="w", count=100, timeout=0):
            client.ack_batch(
                [AckItem(job_id=job.job_id, lease_token=job.lease_token) for job in jobs]
            )
            done += len(jobs)
    return done


def search_all(container: CorvoContainer) -> None:
    with container.client() as client:
        assert sum(1 for _ in client.search_all(queue="q", state="completed")) == BATCHES * JOBS
