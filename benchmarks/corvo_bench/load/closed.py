"""Closed loops: a connection sends its next request as soon as the last one is answered."""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence

from corvo_bench.latency import Latencies
from corvo_bench.load.outcome import Outcome, cpu_seconds
from corvo_bench.load.raw_connection import (
    Script,
    Tally,
    play,
    request,
    run_loop,
    text_of,
    texts_of,
)
from corvo_bench.results import BenchmarkError
from corvo_bench.server import API

PAYLOAD = {"to": "ada@example.com", "subject": "hello"}

_OK = 200
_CREATED = 201


def enqueues(
    url: str,
    queues: Sequence[str],
    connections: int,
    seconds: float,
    payload: object = None,
) -> Outcome:
    """Enqueue single jobs into the queues in turn. `count` is the number of jobs."""
    bodies = [
        request(url, "POST", f"{API}/enqueue", {"queue": queue, "payload": payload or PAYLOAD})
        for queue in queues
    ]
    turn = itertools.cycle(bodies)
    ids: list[bytes] = []

    def script(deadline: float) -> Script:
        while time.perf_counter() < deadline:
            status, body = yield next(turn)
            if status == _CREATED:
                ids.append(text_of(body, b"job_id"))

    outcome = _run(url, connections, seconds, script)
    outcome.enqueued = _texts(ids)
    outcome.count = len(ids)
    return outcome


def lives(
    url: str,
    queues: Sequence[str],
    connections: int,
    seconds: float,
    payload: object = None,
) -> Outcome:
    """Enqueue, fetch and ack jobs with three requests per job and one queue per connection.

    `count` is the number of acked jobs.
    """
    enqueued: list[bytes] = []
    finished: list[bytes] = []
    turn = itertools.cycle(queues)

    def script(deadline: float) -> Script:
        queue = next(turn)
        job = {"queue": queue, "payload": payload or PAYLOAD}
        enqueue = request(url, "POST", f"{API}/enqueue", job)
        asked = {"queues": [queue], "worker_id": "bench"}
        fetch = request(url, "POST", f"{API}/fetch", asked)
        head, _, _ = request(url, "POST", f"{API}/ack/JOB", {}).partition(b"content-length")
        before, _, after = head.partition(b"JOB")
        while time.perf_counter() < deadline:
            status, body = yield enqueue
            if status != _CREATED:
                return
            enqueued.append(text_of(body, b"job_id"))
            status, body = yield fetch
            if status != _OK:
                return
            job_id = text_of(body, b"job_id")
            ack = b'{"lease_token":"%b"}' % text_of(body, b"lease_token")
            length = b"content-length: %d\r\n\r\n" % len(ack)
            status, _ = yield before + job_id + after + length + ack
            if status == _OK:
                finished.append(job_id)

    outcome = _run(url, connections, seconds, script)
    outcome.enqueued, outcome.finished = _texts(enqueued), _texts(finished)
    outcome.count = len(finished)
    return outcome


def batched_enqueues(
    url: str, queue: str, connections: int, seconds: float, per_request: int
) -> Outcome:
    """Enqueue `per_request` jobs per request. `count` is the number of jobs."""
    data = batch_request(url, queue, per_request)
    replies: list[bytes] = []

    def script(deadline: float) -> Script:
        while time.perf_counter() < deadline:
            status, body = yield data
            if status == _CREATED:
                replies.append(body)

    outcome = _run(url, connections, seconds, script)
    outcome.enqueued = [job_id for body in replies for job_id in json.loads(body)["job_ids"]]
    outcome.count = len(outcome.enqueued)
    return outcome


def batched_lives(
    url: str, queue: str, connections: int, per_request: int, *, seconds: float = 0.0, jobs: int = 0
) -> Outcome:
    """Enqueue, fetch and ack `per_request` jobs per request. `count` is the number of acked jobs.

    Ends after `jobs` jobs, or after `seconds` if `jobs` is 0. Raises `BenchmarkError` unless
    exactly the enqueued jobs were finished, each once.
    """
    enqueue = batch_request(url, queue, per_request)
    asked = {"queues": [queue], "worker_id": "bench", "count": per_request}
    fetch = request(url, "POST", f"{API}/fetch/batch", asked)
    unfinished: set[str] = set()
    finished = 0
    left = iter(range(-(-jobs // per_request)))

    def turns(deadline: float) -> Iterator[object]:
        return left if jobs else iter(lambda: time.perf_counter() < deadline, False)

    def script(deadline: float) -> Script:
        nonlocal finished
        for _ in turns(deadline):
            status, body = yield enqueue
            if status != _CREATED:
                return
            unfinished.update(json.loads(body)["job_ids"])
            status, body = yield fetch
            if status != _OK:
                return
            given = texts_of(body, b"job_id")
            tokens = texts_of(body, b"lease_token")
            acks = [
                {"job_id": job_id, "lease_token": token}
                for job_id, token in zip(given, tokens, strict=True)
            ]
            status, body = yield request(url, "POST", f"{API}/ack/batch", {"acks": acks})
            if status == _OK and b'"acked":%d,' % len(acks) in body:
                for job_id in given:
                    unfinished.remove(job_id)
                finished += len(given)

    outcome = _run(url, connections, seconds, script)
    if unfinished:
        raise BenchmarkError(f"{len(unfinished)} jobs were not finished")
    outcome.count = finished
    return outcome


def repeated(url: str, bodies: Sequence[bytes], connections: int, seconds: float) -> Outcome:
    """Send the requests in turn. `count` is the number of answers."""
    turn = itertools.cycle(bodies)

    def script(deadline: float) -> Script:
        while time.perf_counter() < deadline:
            yield next(turn)

    return _run(url, connections, seconds, script)


def batch_request(url: str, queue: str, jobs: int) -> bytes:
    """Return the bytes of a request that enqueues `jobs` jobs."""
    batch = {"jobs": [{"queue": queue, "payload": PAYLOAD}] * jobs}
    return request(url, "POST", f"{API}/enqueue/batch", batch)


def _run(url: str, connections: int, seconds: float, script: Callable[[float], Script]) -> Outcome:
    tally = Tally()
    used = cpu_seconds()
    started = time.perf_counter()
    scripts = [script(started + seconds) for _ in range(connections)]
    run_loop(lambda: play(url, scripts, tally))
    return Outcome(
        seconds=time.perf_counter() - started,
        count=len(tally.latencies),
        cpu_seconds=cpu_seconds() - used,
        statuses=tally.statuses,
        latencies=Latencies(tally.latencies),
    )


def _texts(ids: list[bytes]) -> list[str]:
    return [job_id.decode() for job_id in ids]
