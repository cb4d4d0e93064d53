"""Holds the server to account: exactly the jobs that were sent have finished, each once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from corvo_bench.results import BenchmarkError
from corvo_bench.server import Endpoint

_COUNT = 500
_PENDING = ("scheduled", "pending", "active", "retrying")


def completed(server: Endpoint, queues: Sequence[str]) -> int:
    """How many jobs of these queues are completed so far."""
    wanted = set(queues)
    return sum(q["completed"] for q in server.ask("GET", "/queues") if q["name"] in wanted)


def finish(
    server: Endpoint, queues: Sequence[str], enqueued: Iterable[str], *, before: int = 0
) -> None:
    """Fetch and ack what is left in the queues; raise when it is not what was enqueued.

    `before` were completed before.
    """
    finished: list[str] = []
    for start in range(0, len(queues), _COUNT // 2):
        some = queues[start : start + _COUNT // 2]
        asked = {"queues": some, "worker_id": "verifier", "count": _COUNT, "timeout": 0}
        while jobs := server.ask("POST", "/fetch/batch", asked)["jobs"]:
            acks = [{"job_id": j["job_id"], "lease_token": j["lease_token"]} for j in jobs]
            server.ask("POST", "/ack/batch", {"acks": acks})
            finished += [job["job_id"] for job in jobs]
    require_finished(server, queues, enqueued, finished, before=before)


def require_finished(
    server: Endpoint,
    queues: Sequence[str],
    enqueued: Iterable[str],
    finished: Iterable[str],
    *,
    before: int = 0,
) -> None:
    """Raise `BenchmarkError` unless ids and counts agree; `before` were completed before."""
    sent, done = Counter(enqueued), Counter(finished)
    if sent != done or (sent and max(sent.values()) > 1):
        lost, extra = (sent - done).total(), (done - sent).total()
        repeated = sent.total() - len(sent)
        raise BenchmarkError(f"{lost} jobs lost, {extra} too many, {repeated} ids given twice")
    require_counts(server, queues, len(sent) + before)


def require_counts(server: Endpoint, queues: Sequence[str], completed: int) -> None:
    """Raise `BenchmarkError` unless `GET /queues` tells so many completed jobs, and no others."""
    wanted = set(queues)
    found: Counter[str] = Counter()
    for queue in server.ask("GET", "/queues"):
        if queue["name"] in wanted:
            found.update(_counts(queue))
    others = {state: n for state, n in found.items() if state != "completed" and n}
    if found["completed"] != completed or others:
        raise BenchmarkError(
            f"{completed} jobs should be completed; there are {found['completed']}, and {others}"
        )


def _counts(queue: dict[str, Any]) -> dict[str, int]:
    return {state: queue[state] for state in (*_PENDING, "completed", "dead", "cancelled")}


def require_once(server: Endpoint, job_ids: Sequence[str]) -> None:
    """Raise `BenchmarkError` unless each job was completed by its first attempt."""
    for start in range(0, len(job_ids), _COUNT):
        some = list(job_ids[start : start + _COUNT])
        found = server.ask("POST", "/jobs/bulk-get", {"job_ids": some})["jobs"]
        good = [job for job in found if job["state"] == "completed" and job["attempt"] == 1]
        if len(good) != len(some):
            raise BenchmarkError(f"of {len(some)} jobs {len(good)} were completed at once")
