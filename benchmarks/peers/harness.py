"""Run as a producer or a worker in the environment of the system under test.

    python harness.py ADAPTER URL QUEUE LEDGER prepare
    python harness.py ADAPTER URL QUEUE LEDGER work
    python harness.py ADAPTER URL QUEUE LEDGER count
    python harness.py ADAPTER URL QUEUE LEDGER finish FIRST JOBS
    python harness.py ADAPTER URL QUEUE LEDGER produce FIRST STEP=JOBS...

Prints one JSON document. A step is `serial`, `concurrent`, `bulk`, or `pickup`, which enqueues with
pauses. Jobs are numbered from FIRST. `finish` waits until the backend has none of these jobs
unfinished and prints that time in ns of the monotonic clock. Needs only the standard library.
"""

import asyncio
import importlib
import inspect
import json
import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ledger import Ledger
from peer import AsyncPeer, SyncPeer

IN_FLIGHT = 50
_PICKUP_PAUSE = 0.02
_BULK = 1000
_POLL_SECONDS = 0.01


def main() -> None:
    """Run the command of the command line and print its answer."""
    logging.basicConfig(level=logging.WARNING)
    adapter, url, queue, ledger, command, *arguments = sys.argv[1:]
    module = importlib.import_module(adapter)
    peer: SyncPeer | AsyncPeer = module.Peer(url, queue)
    answer = _COMMANDS[command](peer, Ledger(ledger), arguments)
    print(json.dumps(answer), flush=True)


def prepare(peer: SyncPeer | AsyncPeer, ledger: Ledger, _: Sequence[str]) -> None:
    """Create what the backend needs."""
    del ledger
    if isinstance(peer, SyncPeer):
        peer.prepare()
    else:
        asyncio.run(_within(peer, peer.prepare))


def work(peer: SyncPeer | AsyncPeer, ledger: Ledger, _: Sequence[str]) -> None:
    """Run a worker until the process is terminated."""
    if isinstance(peer, SyncPeer):
        peer.work(ledger.start)
    else:
        asyncio.run(_within(peer, peer.work, ledger.start))


def count(peer: SyncPeer | AsyncPeer, ledger: Ledger, _: Sequence[str]) -> int:
    """Return the number of unfinished jobs."""
    del ledger
    if isinstance(peer, SyncPeer):
        return peer.count_unfinished()
    found: int = asyncio.run(_within(peer, peer.count_unfinished))
    return found


def finish(peer: SyncPeer | AsyncPeer, ledger: Ledger, arguments: Sequence[str]) -> int:
    """Wait until all jobs were started and the backend has none unfinished. Return that time in ns.

    The backend is asked only after all jobs were started, so that it is not disturbed.
    """
    first, jobs = map(int, arguments)
    numbers = range(first, first + jobs)

    # Poll, because other processes write the ledger and the backend.
    async def finished(peer: AsyncPeer) -> int:
        while ledger.count_started(numbers) < jobs:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        while await peer.count_unfinished():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS / 10)
        return time.monotonic_ns()

    if isinstance(peer, AsyncPeer):
        at: int = asyncio.run(_within(peer, finished, peer))
        return at
    peer.count_unfinished()  # connects
    while ledger.count_started(numbers) < jobs:
        time.sleep(_POLL_SECONDS)
    while peer.count_unfinished():
        time.sleep(_POLL_SECONDS / 10)
    return time.monotonic_ns()


def produce(
    peer: SyncPeer | AsyncPeer, ledger: Ledger, arguments: Sequence[str]
) -> dict[str, float]:
    """Run the steps. Return the seconds of each."""
    first = int(arguments[0])
    steps: list[tuple[str, range]] = []
    for argument in arguments[1:]:
        name, _, jobs = argument.partition("=")
        steps.append((name, range(first, first + int(jobs))))
        first += int(jobs)
    if isinstance(peer, SyncPeer):
        return {name: _timed_sync(peer, ledger, name, numbers) for name, numbers in steps}
    taken: dict[str, float] = {}
    for name, numbers in steps:
        blocking = peer.blocking() if name == "serial" else None
        if blocking is not None:
            with blocking as enqueue:
                taken[name] = _timed_serially(enqueue, ledger, numbers)
    rest = [step for step in steps if step[0] not in taken]
    taken.update(asyncio.run(_within(peer, _timed, peer, ledger, rest)))
    return taken


def _timed_serially(enqueue: Callable[[int], None], ledger: Ledger, numbers: range) -> float:
    """Time all jobs but the first, which connects and imports. Scale the time to all jobs."""
    started = time.perf_counter()
    for number in numbers:
        ledger.send(number)
        enqueue(number)
        if number == numbers.start and len(numbers) > 1:
            started = time.perf_counter()
    return (time.perf_counter() - started) * len(numbers) / max(1, len(numbers) - 1)


def _timed_sync(peer: SyncPeer, ledger: Ledger, step: str, numbers: range) -> float:
    if step == "serial":
        return _timed_serially(peer.enqueue, ledger, numbers)
    started = time.perf_counter()
    if step == "bulk":
        for some in _chunks(numbers):
            for number in some:
                ledger.send(number)
            peer.enqueue_many(some)
        return time.perf_counter() - started
    left = iter(numbers)
    failures: list[BaseException] = []

    def enqueue_remaining() -> None:
        try:
            for number in left:  # threads can share the iterator of a range
                if step == "pickup":
                    time.sleep(random.uniform(0.5, 1.5) * _PICKUP_PAUSE)
                ledger.send(number)
                peer.enqueue(number)
        except BaseException as failure:
            failures.append(failure)
            raise

    if step == "concurrent":
        threads = [threading.Thread(target=enqueue_remaining) for _ in range(IN_FLIGHT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        enqueue_remaining()
    if failures:
        raise failures[0]
    return time.perf_counter() - started


async def _timed(
    peer: AsyncPeer, ledger: Ledger, steps: list[tuple[str, range]]
) -> dict[str, float]:
    taken = {}
    for step, numbers in steps:
        if step == "serial" and len(numbers) > 1:
            await _take(peer, ledger, step, numbers[:1])  # connects
        rest = numbers[1:] if step == "serial" and len(numbers) > 1 else numbers
        started = time.perf_counter()
        await _take(peer, ledger, step, rest)
        taken[step] = (time.perf_counter() - started) * len(numbers) / len(rest)
    return taken


async def _take(peer: AsyncPeer, ledger: Ledger, step: str, numbers: range) -> None:
    if step == "bulk":
        for some in _chunks(numbers):
            for number in some:
                ledger.send(number)
            await peer.enqueue_many(some)
        return
    left = iter(numbers)

    async def enqueue_remaining() -> None:
        for number in left:
            if step == "pickup":
                await asyncio.sleep(random.uniform(0.5, 1.5) * _PICKUP_PAUSE)
            ledger.send(number)
            await peer.enqueue(number)

    tasks = IN_FLIGHT if step == "concurrent" else 1
    await asyncio.gather(*(enqueue_remaining() for _ in range(tasks)))


async def _within(peer: AsyncPeer, function: Callable[..., Any], *arguments: Any) -> Any:
    await peer.open()
    try:
        answer = function(*arguments)
        return await answer if inspect.isawaitable(answer) else answer
    finally:
        await peer.close()


def _chunks(numbers: range) -> Iterator[range]:
    for first in range(numbers.start, numbers.stop, _BULK):
        yield range(first, min(first + _BULK, numbers.stop))


_COMMANDS: dict[str, Callable[[Any, Ledger, Sequence[str]], Any]] = {
    "prepare": prepare,
    "work": work,
    "count": count,
    "finish": finish,
    "produce": produce,
}

if __name__ == "__main__":
    main()
