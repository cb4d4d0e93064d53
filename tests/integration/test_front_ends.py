"""Servers of several processes: whichever of them is killed, nothing is lost, and it comes back.

`CORVO_CRASH_ROUNDS` and `CORVO_CRASH_SEED` in the environment choose how often, and the dice.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress

import httpx
import psutil
import pytest

from server_support.waiting import wait_until
from support.api_client import ApiClient, Body, Refusal, new_name, refusal_of
from support.final_state import check_counters, finish_all_jobs, jobs_of
from support.history import History
from support.history_checker import check
from support.load import Load
from support.server import CorvoServer, StartServer

pytestmark = pytest.mark.sqlite

FRONT_ENDS = 2
ROUNDS = int(os.environ.get("CORVO_CRASH_ROUNDS", "5"))
SEED = int(os.environ.get("CORVO_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


def a_front_end(server: CorvoServer, chance: random.Random) -> int:
    return chance.choice(server.front_ends)


def the_writer(server: CorvoServer, _: random.Random) -> int:
    return server.pid


@pytest.mark.parametrize("choose", [a_front_end, the_writer])
async def test_kills_under_load_lose_nothing(
    choose: Callable[[CorvoServer, random.Random], int], start_server: StartServer
) -> None:
    print(f"\nseed {SEED}")
    chance = random.Random(SEED)  # noqa: S311 - dice
    server = start_server(expects_errors=True, http_workers=FRONT_ENDS)
    history, stop = History(), asyncio.Event()
    load = Load(history, SEED)
    busy = asyncio.create_task(
        load.run_with_failover([server.url] * 2, stop, producers=4, rivals=0, workers=10)
    )
    for _ in range(ROUNDS):
        await _see_answers(history, chance.randrange(250, 900))
        await _kill(choose(server, chance), server)
    await _see_answers(history, 100)
    stop.set()
    await busy

    async with ApiClient(server.url) as api:
        await finish_all_jobs(api, history)
        jobs = await jobs_of(api, history)
        verdict = check(history, jobs)
        assert not verdict.broken
        await check_counters(api, jobs)
    assert len([line for line in server.log if "started again" in line["message"]]) == ROUNDS
    assert await asyncio.to_thread(server.stop) == 0


async def test_fetches_of_a_killed_front_end_leave_the_line(start_server: StartServer) -> None:
    server = start_server(expects_errors=True, http_workers=FRONT_ENDS)
    queue, fetches = new_name(), 20
    async with ApiClient(server.url) as held, ApiClient(server.url) as other:
        waiting = [asyncio.create_task(held.try_fetch(queue, timeout=60)) for _ in range(fetches)]
        await other.see_waiting(fetches)
        await _kill(server.front_ends[0], server)
        await wait_until(
            lambda: any(fetch.done() for fetch in waiting), "a fetch of the one that was killed"
        )
        async with ApiClient(server.url) as api:  # for `other` may have been cut off as well
            await api.see_waiting(fetches - sum(fetch.done() for fetch in waiting))
            for _ in range(fetches):
                await api.enqueue(queue)
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            served = [answer for answer in answers if isinstance(answer, dict)]
            assert 0 < len(served) < fetches
            counts = await api.queue(queue)
            assert (counts["active"], counts["pending"]) == (len(served), fetches - len(served))


async def test_requests_get_503_until_a_killed_writer_is_back(start_server: StartServer) -> None:
    """Before it is noticed, a request may be cut off, as by a server that dies."""
    server = start_server(expects_errors=True, http_workers=FRONT_ENDS)
    async with ApiClient(server.url) as api:
        queue = new_name()
        job_id = await api.enqueue(queue)
        requests: list[tuple[str, str] | tuple[str, str, Body]] = [
            ("POST", "/enqueue", {"queue": queue}),
            ("GET", f"/jobs/{job_id}"),
            ("GET", "/healthz"),
        ]
        os.kill(server.pid, signal.SIGKILL)
        refusals: list[Refusal] = []

        async def is_back_after_refusals() -> bool:
            answers = []
            for request in requests:
                with suppress(httpx.TransportError):
                    answers.append(await api.send(*request))
            refused = [answer for answer in answers if answer.is_error]
            refusals.extend(refusal_of(answer) for answer in refused)
            return bool(refusals) and not refused and len(answers) == len(requests)

        await wait_until(is_back_after_refusals, "the writer is back, after refusals")
        assert {(refusal.status, refusal.code) for refusal in refusals} == {(503, "UNAVAILABLE")}
        assert {refusal.headers["retry-after"] for refusal in refusals} == {"1"}
        assert await api.state(job_id) == "pending"


async def test_a_stop_answers_what_waits_and_closes_the_store_last(
    start_server: StartServer,
) -> None:
    server = start_server(http_workers=FRONT_ENDS)
    async with ApiClient(server.url) as api, ApiClient(server.url) as other:
        fetches = [asyncio.create_task(api.try_fetch(new_name(), timeout=60)) for _ in range(10)]
        await other.see_waiting(10)
        assert await asyncio.to_thread(server.stop) == 0
        assert await asyncio.gather(*fetches) == [None] * 10
    assert server.messages()[-1] == "stopped: the store is closed"


async def test_requests_are_counted_over_all_front_ends(start_server: StartServer) -> None:
    server = start_server(expects_errors=True, http_workers=FRONT_ENDS)
    enqueued = 'corvo_http_requests_total{method="POST",route="/api/v1/enqueue",status="201"} '

    async def counted() -> float:
        async with ApiClient(server.url) as api:
            text = (await api.send("GET", "/metrics")).text
        (line,) = [line for line in text.splitlines() if line.startswith(enqueued)]
        return float(line.removeprefix(enqueued))

    async def enqueue_by_many() -> None:
        async with ApiClient(server.url) as api:
            await asyncio.gather(*(api.enqueue("counted") for _ in range(30)))

    await enqueue_by_many()
    assert await counted() == 30
    await _kill(server.front_ends[0], server)
    await enqueue_by_many()
    assert await counted() == 60


async def test_all_ends_when_the_parent_is_killed(start_server: StartServer) -> None:
    server = start_server(http_workers=FRONT_ENDS)
    async with ApiClient(server.url) as api:
        job_id = await api.enqueue(new_name())
    children = [psutil.Process(pid) for pid in (server.pid, *server.front_ends)]
    os.kill(server.process.pid, signal.SIGKILL)
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 30)
    assert not alive
    assert await asyncio.to_thread(server.process.wait) == -signal.SIGKILL
    assert server.messages()[-1] == "stopped: the store is closed"
    await asyncio.to_thread(server.restart)
    async with ApiClient(server.url) as api:
        assert await api.state(job_id) == "pending"


async def test_a_second_signal_ends_all_at_once(start_server: StartServer) -> None:
    server = start_server(http_workers=FRONT_ENDS)
    children = [psutil.Process(pid) for pid in (server.pid, *server.front_ends)]
    os.kill(server.pid, signal.SIGSTOP)  # a writer that does not end
    server.signal(signal.SIGTERM)
    await wait_until(lambda: "stopping: requests in flight are done" in server.messages(), "a stop")
    server.signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.process.wait) == 128 + signal.SIGTERM
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 30)
    assert not alive


def test_a_second_server_on_the_same_address_does_not_start(
    start_server: StartServer, make_server: StartServer
) -> None:
    first = start_server(http_workers=FRONT_ENDS)
    second = make_server(expects_errors=True, http_workers=FRONT_ENDS)
    with pytest.raises(AssertionError, match="Is another server running there"):
        second.start(first.port)


def test_a_second_server_on_the_same_data_does_not_start(start_server: StartServer) -> None:
    first = start_server(http_workers=FRONT_ENDS)
    second = CorvoServer(first.data_dir, {"http_workers": FRONT_ENDS})
    with pytest.raises(AssertionError, match="is using the data directory"):
        second.start()
    assert second.process.wait() == 1
    second.close()


async def _see_answers(history: History, more: int) -> None:
    wanted = history.answers + more
    await wait_until(lambda: history.answers >= wanted, f"{more} answers more")


async def _kill(pid: int, server: CorvoServer) -> None:
    """SIGKILL to one of the processes, and wait until another has its place."""
    started = ("writing to", "a front-end listens")
    before = sum(message.startswith(started) for message in server.messages())
    os.kill(pid, signal.SIGKILL)
    await wait_until(
        lambda: sum(m.startswith(started) for m in server.messages()) > before,
        "another one in its place",
    )
