"""The fetch verb: starts jobs for the claims of one commit.

The jobs of one commit have a limited size in bytes, so that their documents fit in memory. A claim
gets fewer jobs than it wants only if they alone exceed the limit. The claims whose jobs do not fit
beside those of earlier claims run in the next commit.
"""

import heapq

from corvo_server.store.commit.eligible import EligibleJobs, find_eligible
from corvo_server.store.commit.postponed import POSTPONED, Postponed
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import Change, Claim, LeasedJob


def prefetch(prefetch: Prefetch, claims: list[Claim]) -> None:
    """Add the queues of the claims to `prefetch`."""
    prefetch.queues.update(queue for claim in claims for queue in claim.queues)


def fetch(tx: Transaction, claims: list[Claim]) -> list[list[LeasedJob] | Postponed]:
    """Start the first eligible jobs for each claim, in the order of the claims. Return them."""
    eligible, now = find_eligible(tx, _count_wanted(claims), claims[0].clock)
    seqs_of_claims = [_take_jobs(claim, eligible) for claim in claims]
    taken = [seq for seqs in seqs_of_claims for seq in seqs]
    leased = tx.tables.pending.load(taken, claims[0].max_bytes) if taken else []
    counts = _share(list(map(len, seqs_of_claims)), len(leased))
    del leased[sum(counts) :]
    # Read the clock again: while the query ran, another server may have made a job pending, and no
    # job may start before that.
    now = max(now, claims[0].clock())
    for jobs_of_queue in eligible.values():
        jobs_of_queue.record_starts(now, leased)
    changes: list[Change] = []
    answers: list[list[LeasedJob] | Postponed] = []
    first = 0
    for claim, count in zip(claims, counts, strict=False):
        jobs = leased[first : first + count]
        first += count
        for job in jobs:
            change = claim.start(job.head, now)
            tx.record(job.head, change, claim.actor)
            changes.append(change)
            job.head = change.job
        answers.append(jobs)
    tx.write(changes)
    answers += [POSTPONED] * (len(claims) - len(answers))
    return answers


def _count_wanted(claims: list[Claim]) -> dict[str, int]:
    """Return the largest number of jobs that the claims can take from each queue."""
    wanted: dict[str, int] = {}
    for claim in claims:
        for queue in dict.fromkeys(claim.queues):
            wanted[queue] = wanted.get(queue, 0) + claim.count
    return wanted


def _share(wanted: list[int], jobs: int) -> list[int]:
    """Return how many of the first `jobs` jobs each claim gets; claims that must wait are left out.

    `wanted` are the numbers of jobs that were taken for the claims. The first claim with any is
    served also if it gets fewer.
    """
    counts: list[int] = []
    for count in wanted:
        if count > jobs and any(counts):
            break
        counts.append(min(count, jobs))
        if count > jobs:
            break
        jobs -= count
    return counts


def _take_jobs(claim: Claim, eligible: dict[str, EligibleJobs]) -> list[int]:
    """Take the first jobs of the claim's queues by priority, then by seq. Return their seqs."""
    queues = [eligible[queue] for queue in dict.fromkeys(claim.queues)]
    if len(queues) == 1:
        (jobs,) = queues
        return [jobs.take_first() for _ in range(min(claim.count, len(jobs.places)))]
    taken: list[int] = []
    # A heap of the first place of each queue, with the index of the queue.
    heap = [(jobs.places[0], i) for i, jobs in enumerate(queues) if jobs.places]
    heapq.heapify(heap)
    while heap and len(taken) < claim.count:
        index = heap[0][1]
        jobs = queues[index]
        taken.append(jobs.take_first())
        if jobs.places:
            heapq.heapreplace(heap, (jobs.places[0], index))
        else:
            heapq.heappop(heap)
    return taken
