"""Checks a history against the guarantees and reports each violation as a sentence.

The jobs of a history say in their payloads where they come from: `{"request": 7, "index": 0}`, of a
request whose jobs have the indexes from 0 on. A request that is sent again keeps its number. Errors
and results of attempts are all different, so that each can be traced to its call.
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
class HandOut:
    """One job as one fetch got it."""

    job_id: str
    token: str
    attempt: int
    granted_at: int
    expires_at: int
    lease_ms: int
    answered_at: int


@dataclass(slots=True)
class Verdict:
    """What was found."""

    lost: list[str] = field(default_factory=list)
    """Guarantee 1 violated: acknowledged writes that are missing."""
    double_leases: list[str] = field(default_factory=list)
    """Guarantee 2 violated: jobs under two leases, and effects of calls without a valid lease."""
    halves: list[str] = field(default_factory=list)
    """Guarantee 3 violated: requests that took partial effect, or effect although refused."""
    doubles: list[str] = field(default_factory=list)
    """Guarantee 4 violated: effects that happened twice."""

    @property
    def broken(self) -> list[str]:
        """Everything."""
        return self.lost + self.double_leases + self.halves + self.doubles


def check(
    history: History,
    jobs: Mapping[str, Body],
    *,
    tolerance_ms: int = 0,
    foreign: Collection[str] = (),
) -> Verdict:
    """Compare what clients were told with the jobs that there are, by id, when all is quiet.

    `tolerance_ms`: how far the servers' clock may be from that of the history. `foreign` are jobs
    that nobody enqueued, those of schedules: only their leases are looked at.
    """
    verdict = Verdict()
    _check_enqueues(history, jobs, verdict)
    _check_acks(history, jobs, foreign, verdict)
    _check_failures(history, jobs, foreign, verdict)
    _check_leases(history, tolerance_ms, verdict)
    return verdict


def hand_outs(history: History) -> dict[str, list[HandOut]]:
    """By job, in the order in which they were granted."""
    found: defaultdict[str, list[HandOut]] = defaultdict(list)
    for call in history.of("fetch"):
        for job in (call.answer or {}).get("jobs", ()):
            lease_ms = int(job["lease_duration"] * 1000)
            expires_at = _ms(job["lease_expires_at"])
            found[job["job_id"]].append(
                HandOut(
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
            verdict.doubles.append(f"{job_id} was never asked for")
        elif _jobs_of(asked[0])[index]["queue"] != job["queue"]:
            verdict.lost.append(f"{job_id} is in {job['queue']}, which is not where it was put")
    for number, sent in calls.items():
        _check_request(number, sent, found[number], verdict)
    for call in history.of("enqueue", "enqueue_batch"):
        for job_id in told_ids(call):
            if job_id not in jobs:
                verdict.lost.append(f"{job_id} was acknowledged and is not there")


def _check_request(number: int, sent: list[Call], there: Counter[int], verdict: Verdict) -> None:
    """One request, sent once or more often, and how often each of its jobs is there."""
    total = len(_jobs_of(sent[0]))
    what = f"request {number} of {total} jobs, answered {[call.status for call in sent]}"
    for index, times in there.items():
        if times > 1:
            verdict.doubles.append(f"{what}: its job {index} is there {times} times")
    if any(call.is_done for call in sent):
        if len(there) < total:
            verdict.lost.append(f"{what}: {len(there)} are there")
    elif 0 < len(there) < total:
        verdict.halves.append(f"{what}: {len(there)} are there")
    elif there and not any(call.is_open for call in sent):
        verdict.halves.append(f"{what}: refused, and yet {len(there)} are there")


def _calls_by_request(history: History) -> dict[int, list[Call]]:
    calls: defaultdict[int, list[Call]] = defaultdict(list)
    for call in history.of("enqueue", "enqueue_batch"):
        calls[_jobs_of(call)[0]["payload"]["request"]].append(call)
    return calls


def _jobs_of(call: Call) -> list[Body]:
    jobs: list[Body] = [call.body] if call.verb == "enqueue" else call.body["jobs"]
    return jobs


def told_ids(call: Call) -> list[str]:
    """The ids with which an enqueue was acknowledged."""
    if not call.is_done:
        return []
    ids: list[str] = [call.answer["job_id"]] if call.verb == "enqueue" else call.answer["job_ids"]
    return ids


# Outcomes


def _check_acks(
    history: History, jobs: Mapping[str, Body], foreign: Collection[str], verdict: Verdict
) -> None:
    acks: defaultdict[str, list[Call]] = defaultdict(list)
    for call in history.of("ack"):
        if call.body["job_id"] not in foreign:
            acks[call.body["job_id"]].append(call)
    leases = hand_outs(history)
    for job_id, calls in acks.items():
        job = jobs.get(job_id)
        done = [call for call in calls if call.is_done]
        if done:
            if job is None or job["state"] != "completed":
                state = job["state"] if job else "gone"
                verdict.lost.append(f"{job_id} was acked and is {state}")
            first = min(call.answered_at or 0 for call in done)
            if any(lease.granted_at > first for lease in leases[job_id]):
                verdict.doubles.append(f"{job_id} was handed out after its ack")
    for job_id, job in jobs.items():
        if job["state"] == "completed":
            allowed = [c.body["result"] for c in acks[job_id] if c.may_have_effect]
            if job["result"] not in allowed:
                verdict.double_leases.append(f"{job_id} has a result that nobody could give it")


def _check_failures(
    history: History, jobs: Mapping[str, Body], foreign: Collection[str], verdict: Verdict
) -> None:
    calls: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in history.of("fail"):
        if call.body["job_id"] not in foreign:
            calls[call.body["job_id"], call.body["error"]].append(call)
    for (job_id, error), sent in calls.items():
        job = jobs.get(job_id)
        times = sum(entry["error"] == error for entry in job["errors"]) if job else 0
        what = f"failure {error!r} of {job_id}, answered {[call.status for call in sent]}"
        if times > 1:
            verdict.doubles.append(f"{what}: is there {times} times")
        elif not times and any(call.is_done for call in sent):
            verdict.lost.append(f"{what}: is not there")
        elif times and not any(call.may_have_effect for call in sent):
            verdict.halves.append(f"{what}: is there")


# Leases


def _check_leases(history: History, tolerance_ms: int, verdict: Verdict) -> None:
    ends: defaultdict[str, list[Call]] = defaultdict(list)
    beats: defaultdict[str, list[Call]] = defaultdict(list)
    for call in history.of(*_ENDINGS):
        ends[call.body["lease_token"]].append(call)
    for call in history.of("heartbeat"):
        for token in _kept_alive(call):
            beats[token].append(call)
    for job_id, leases in hand_outs(history).items():
        if len({lease.token for lease in leases}) < len(leases):
            verdict.double_leases.append(f"{job_id} was handed out twice with one token")
        for pair in pairwise(leases):
            told = [
                list(_overlap(*order, ends[order[0].token], beats[order[0].token], tolerance_ms))
                for order in _possible_orders(*pair, tolerance_ms)
            ]
            # Grants as close as the clocks of two servers may be apart may be the other way round.
            verdict.double_leases += [f"{job_id}: {sentence}" for sentence in min(told, key=len)]


def _possible_orders(
    earlier: HandOut, later: HandOut, tolerance_ms: int
) -> Iterator[tuple[HandOut, HandOut]]:
    yield earlier, later
    if later.granted_at - earlier.granted_at < tolerance_ms:
        yield later, earlier


def _overlap(
    earlier: HandOut,
    later: HandOut,
    ends: Iterable[Call],
    beats: Iterable[Call],
    tolerance_ms: int,
) -> Iterator[str]:
    """What is wrong with one lease of a job and the next one."""
    ended = any(c.may_have_effect and c.asked_at <= later.answered_at for c in ends)
    # At least until then: a heartbeat extends from when the server read it.
    lived = [
        c.asked_at + earlier.lease_ms
        for c in beats
        if c.asked_at <= later.granted_at - tolerance_ms
    ]
    alive = max([earlier.expires_at, *lived])
    if not ended and later.granted_at < alive - tolerance_ms:
        told = [(c.verb, c.asked_at - earlier.granted_at, c.status) for c in (*ends, *beats)]
        yield (
            f"attempt {later.attempt} began {later.granted_at - earlier.granted_at} ms after "
            f"{earlier.attempt}, which was alive for {alive - earlier.granted_at} ms: {told}"
        )
    if later.attempt < earlier.attempt:
        yield f"attempt {later.attempt} came after {earlier.attempt}"
    for call in (*ends, *beats):
        if call.is_done and call.asked_at > later.answered_at:
            yield f"{call.verb} of attempt {earlier.attempt} was taken after the next had begun"


def _kept_alive(call: Call) -> Iterator[str]:
    if call.is_done:
        for job_id, answer in call.answer["jobs"].items():
            if answer["status"] == "ok" or answer.get("reason") == "cancelled":
                yield call.body["jobs"][job_id]["lease_token"]


def _ms(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)


def recount(jobs: Iterable[Body]) -> dict[str, Counter[str]]:
    """What the counters of each queue should be, from the jobs themselves."""
    queues: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for job in jobs:
        counter: Any = queues[job["queue"]]
        counter[job["state"]] += 1
        counter["enqueued"] += 1
        counter["failed"] += len(job["errors"])
    return queues
