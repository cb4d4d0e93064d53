"""Check that exactly the enqueued jobs were finished, each once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from corvo_bench.results import BenchmarkError
from corvo_bench.server import Endpoint

_COUNT = 500
_PENDING = ("scheduled", "pending", "active", "retrying")


def completed(server: Endpoint, queues: Sequence[str]) -> int:
    """Return the number of completed jobs of these queues."""
    wanted = set(queues)
    return sum(q["completed"] for q in server.ask("GET", "/queues") if q["name"] in wanted)


def finish(
    server: Endpoint, queues: Sequence[str], enqueued: Iterable[str], *, before: int = 0
) -> None:
    """Fetch and ack all jobs of the queues. Raise `BenchmarkError` unless they are `enqueued`.

    `before` is the number of jobs that were already completed before the load.
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
    """Raise `BenchmarkError` unless the ids and the counts of the server agree.

    `before` is the number of jobs that were already completed before the load.
    """
    sent, done = Counter(enqueued), Counter(finished)
    if sent != done or (sent and max(sent.values()) > 1):
        lost, extra = (sent - done).total(), (done - sent).total()
        repeated = sent.total() - len(sent)
        raise BenchmarkError(f"{lost} jobs lost, {extra} too many, {repeated} ids used twice")
    require_counts(server, queues, len(sent) + before)


def require_counts(server: Endpoint, queues: Sequence[str], completed: int) -> None:
    """Raise `BenchmarkError` unless the queues have `completed` completed jobs and no others."""
    wanted = set(queues)
    found: Counter[str] = Counter()
    for queue in server.ask("GET", "/queues"):
        if queue["name"] in wanted:
            found.update(_counts(queue))
    others = {state: n for state, n in found.items() if state != "completed" and n}
    if found["completed"] != completed or others:
        raise BenchmarkError(
            f"expected {completed} completed jobs; found {found['completed']}, and others: {others}"
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
            raise BenchmarkError(
                f"only {len(good)} of {len(some)} jobs were completed by the first attempt"
            )
