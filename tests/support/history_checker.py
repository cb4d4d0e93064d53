"""Checks a history against the guarantees and reports each violation as a sentence.

Each payload names the request of its job and the index in that request, such as
`{"request": 7, "index": 0}`. A repeated request keeps its number. Errors and results are unique, so
that each of them identifies its call.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from support.api_client import Body
from support.history import Call, History

_ENDINGS = ("ack", "fail", "release")


@dataclass(frozen=True, slots=True)
class GrantedLease:
    """A lease that a fetch returned. Times are in ms since the epoch."""

    job_id: str
    token: str
    attempt: int
    granted_at: int
    expires_at: int
    lease_ms: int
    answered_at: int


@dataclass(slots=True)
class Verdict:
    """The violations of the guarantees."""

    lost: list[str] = field(default_factory=list)
    """Guarantee 1 violated: acknowledged writes that are missing."""
    double_leases: list[str] = field(default_factory=list)
    """Guarantee 2 violated: jobs with two leases, and effects of calls without a valid lease."""
    partial: list[str] = field(default_factory=list)
    """Guarantee 3 violated: requests with a partial effect, or with an effect although refused."""
    duplicates: list[str] = field(default_factory=list)
    """Guarantee 4 violated: effects that happened twice."""

    @property
    def violations(self) -> list[str]:
        """All violations."""
        return self.lost + self.double_leases + self.partial + self.duplicates


def check(
    history: History,
    jobs: Mapping[str, Body],
    *,
    tolerance_ms: int = 0,
    leases_only: Collection[str] = (),
) -> Verdict:
    """Compare a history with the final jobs, by id.

    `tolerance_ms` is the maximum difference between the clocks of the servers and the history.
    Jobs in `leases_only` have no recorded request; only their leases are checked.
    """
    verdict = Verdict()
    _check_enqueues(history, jobs, verdict)
    _check_acks(history, jobs, leases_only, verdict)
    _check_failures(history, jobs, leases_only, verdict)
    _check_leases(history, tolerance_ms, verdict)
    return verdict


def leases_by_job(history: History) -> dict[str, list[GrantedLease]]:
    """Return the leases of each job by id, in the order in which they were granted."""
    found: defaultdict[str, list[GrantedLease]] = defaultdict(list)
    for call in history.of("fetch"):
        for job in (call.answer or {}).get("jobs", ()):
            lease_ms = int(job["lease_duration"] * 1000)
            expires_at = _ms(job["lease_expires_at"])
            found[job["job_id"]].append(
                GrantedLease(
                    job["job_id"],
                    job["lease_token"],
                    job["attempt"],
                    expires_at - lease_ms,
                    expires_at,
                    lease_ms,
                    call.answered_at or 0,
                )
            )
    for leases in found.values():
        leases.sort(key=lambda lease: (lease.granted_at, lease.attempt))
    return found


# Enqueues


def _check_enqueues(history: History, jobs: Mapping[str, Body], verdict: Verdict) -> None:
    calls = _calls_by_request(history)
    found: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for job_id, job in jobs.items():
        number, index = job["payload"]["request"], job["payload"]["index"]
        found[number][index] += 1
        asked = calls.get(number)
        if asked is None:
            verdict.duplicates.append(f"{job_id} was never enqueued by a client")
        elif _jobs_of(asked[0])[index]["queue"] != job["queue"]:
            verdict.lost.append(f"{job_id} is in the wrong queue, {job['queue']}")
    for number, sent in calls.items():
        _check_request(number, sent, found[number], verdict)
    for call in history.of("enqueue", "enqueue_batch"):
        for job_id in acknowledged_ids(call):
            if job_id not in jobs:
                verdict.lost.append(f"{job_id} was acknowledged but is missing")


def _check_request(number: int, sent: list[Call], stored: Counter[int], verdict: Verdict) -> None:
    """Check one request. `sent` has its repetitions; `stored` counts its stored jobs by index."""
    total = len(_jobs_of(sent[0]))
    request = f"request {number} of {total} jobs, answered {[call.status for call in sent]}"
    for index, times in stored.items():
        if times > 1:
            verdict.duplicates.append(f"{request}: job {index} is stored {times} times")
    if any(call.is_done for call in sent):
        if len(stored) < total:
            verdict.lost.append(f"{request}: only {len(stored)} are stored")
    elif 0 < len(stored) < total:
        verdict.partial.append(f"{request}: only {len(stored)} are stored")
    elif stored and not any(call.is_open for call in sent):
        verdict.partial.append(f"{request}: refused, but {len(stored)} are stored")


def _calls_by_request(history: History) -> dict[int, list[Call]]:
    calls: defaultdict[int, list[Call]] = defaultdict(list)
    for call in history.of("enqueue", "enqueue_batch"):
        calls[_jobs_of(call)[0]["payload"]["request"]].append(call)
    return calls


def _jobs_of(call: Call) -> list[Body]:
    jobs: list[Body] = [call.body] if call.verb == "enqueue" else call.body["jobs"]
    return jobs


def acknowledged_ids(call: Call) -> list[str]:
    """Return the ids that the answer to an enqueue acknowledged."""
    if not call.is_done:
        return []
    ids: list[str] = [call.answer["job_id"]] if call.verb == "enqueue" else call.answer["job_ids"]
    return ids


# Outcomes


def _check_acks(
    history: History, jobs: Mapping[str, Body], leases_only: Collection[str], verdict: Verdict
) -> None:
    acks: defaultdict[str, list[Call]] = defaultdict(list)
    for call in history.of("ack"):
        if call.body["job_id"] not in leases_only:
            acks[call.body["job_id"]].append(call)
    leases = leases_by_job(history)
    for job_id, calls in acks.items():
        job = jobs.get(job_id)
        done = [call for call in calls if call.is_done]
        if done:
            if job is None or job["state"] != "completed":
                state = job["state"] if job else "missing"
                verdict.lost.append(f"{job_id} was acked but is {state}")
            first = min(call.answered_at or 0 for call in done)
            if any(lease.granted_at > first for lease in leases[job_id]):
                verdict.duplicates.append(f"{job_id} was fetched after its ack")
    for job_id, job in jobs.items():
        if job["state"] == "completed":
            allowed = [c.body["result"] for c in acks[job_id] if c.may_have_effect]
            if job["result"] not in allowed:
                verdict.double_leases.append(f"{job_id} has a result of no valid ack")


def _check_failures(
    history: History, jobs: Mapping[str, Body], leases_only: Collection[str], verdict: Verdict
) -> None:
    calls: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in history.of("fail"):
        if call.body["job_id"] not in leases_only:
            calls[call.body["job_id"], call.body["error"]].append(call)
    for (job_id, error), sent in calls.items():
        job = jobs.get(job_id)
        times = sum(entry["error"] == error for entry in job["errors"]) if job else 0
        failure = f"failure {error!r} of {job_id}, answered {[call.status for call in sent]}"
        if times > 1:
            verdict.duplicates.append(f"{failure}: is stored {times} times")
        elif not times and any(call.is_done for call in sent):
            verdict.lost.append(f"{failure}: is missing")
        elif times and not any(call.may_have_effect for call in sent):
            verdict.partial.append(f"{failure}: refused, but stored")


# Leases


def _check_leases(history: History, tolerance_ms: int, verdict: Verdict) -> None:
    ends: defaultdict[str, list[Call]] = defaultdict(list)
    beats: defaultdict[str, list[Call]] = defaultdict(list)
    for call in history.of(*_ENDINGS):
        ends[call.body["lease_token"]].append(call)
    for call in history.of("heartbeat"):
        for token in _kept_alive(call):
            beats[token].append(call)
    for job_id, leases in leases_by_job(history).items():
        if len({lease.token for lease in leases}) < len(leases):
            verdict.double_leases.append(f"{job_id} has two leases with the same token")
        for pair in pairwise(leases):
            found = [
                list(_overlap(*order, ends[order[0].token], beats[order[0].token], tolerance_ms))
                for order in _possible_orders(*pair, tolerance_ms)
            ]
            # The order of two grants within the clock tolerance is unknown: either may be first.
            verdict.double_leases += [f"{job_id}: {sentence}" for sentence in min(found, key=len)]


def _possible_orders(
    earlier: GrantedLease, later: GrantedLease, tolerance_ms: int
) -> Iterator[tuple[GrantedLease, GrantedLease]]:
    yield earlier, later
    if later.granted_at - earlier.granted_at < tolerance_ms:
        yield later, earlier


def _overlap(
    earlier: GrantedLease,
    later: GrantedLease,
    ends: Iterable[Call],
    beats: Iterable[Call],
    tolerance_ms: int,
) -> Iterator[str]:
    """Yield the violations between one lease of a job and the next lease."""
    ended = any(c.may_have_effect and c.asked_at <= later.answered_at for c in ends)
    # A heartbeat extends the lease from the time at which the server reads it, which is later.
    lived = [
        c.asked_at + earlier.lease_ms
        for c in beats
        if c.asked_at <= later.granted_at - tolerance_ms
    ]
    alive = max([earlier.expires_at, *lived])
    if not ended and later.granted_at < alive - tolerance_ms:
        calls = [(c.verb, c.asked_at - earlier.granted_at, c.status) for c in (*ends, *beats)]
        yield (
            f"attempt {later.attempt} began {later.granted_at - earlier.granted_at} ms after "
            f"{earlier.attempt}, whose lease lasted {alive - earlier.granted_at} ms: {calls}"
        )
    if later.attempt < earlier.attempt:
        yield f"attempt {later.attempt} began after attempt {earlier.attempt}"
    for call in (*ends, *beats):
        if call.is_done and call.asked_at > later.answered_at:
            yield (
                f"{call.verb} of attempt {earlier.attempt} was accepted after the next attempt "
                "had begun"
            )


def _kept_alive(call: Call) -> Iterator[str]:
    if call.is_done:
        for job_id, answer in call.answer["jobs"].items():
            if answer["status"] == "ok" or answer.get("reason") == "cancelled":
                yield call.body["jobs"][job_id]["lease_token"]


def _ms(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)


def recount(jobs: Iterable[Body]) -> dict[str, Counter[str]]:
    """Return the counters of each queue, computed from its jobs."""
    queues: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for job in jobs:
        counter: Any = queues[job["queue"]]
        counter[job["state"]] += 1
        counter["enqueued"] += 1
        counter["failed"] += len(job["errors"])
    return queues
