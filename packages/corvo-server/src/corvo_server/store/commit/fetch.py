"""Handing out jobs to the fetches of one commit."""

import heapq

from corvo_server.store.commit.eligible import EligibleJobs, find_eligible
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import Change, Claim, LeasedJob


def prefetch(prefetch: Prefetch, claims: list[Claim]) -> None:
    """The queues whose jobs will be handed out."""
    prefetch.queues.update(queue for claim in claims for queue in claim.queues)


def fetch(tx: Transaction, claims: list[Claim]) -> list[list[LeasedJob]]:
    """Serve the claims in their order, each with the first jobs of its queues."""
    lines, now = find_eligible(tx, _wanted(claims), claims[0].clock)
    picks = [_pick(claim, lines) for claim in claims]
    picked = [seq for seqs in picks for seq in seqs]
    leased = tx.tables.pending.load(picked) if picked else {}
    # Asked again: until the jobs were found, another server may have taken them back and left them.
    now = max(now, claims[0].clock())
    for line in lines.values():
        line.close(now)
    changes: list[Change] = []
    answers = []
    for claim, seqs in zip(claims, picks, strict=True):
        jobs = [leased[seq] for seq in seqs]
        for job in jobs:
            change = claim.start(job.head, now)
            tx.record(job.head, change)
            changes.append(change)
            job.head = change.job
        answers.append(jobs)
    tx.write(changes)
    return answers


def _wanted(claims: list[Claim]) -> dict[str, int]:
    """By queue, how many jobs all claims together could want of it."""
    wanted: dict[str, int] = {}
    for claim in claims:
        for queue in dict.fromkeys(claim.queues):
            wanted[queue] = wanted.get(queue, 0) + claim.count
    return wanted


def _pick(claim: Claim, lines: dict[str, EligibleJobs]) -> list[int]:
    """Take the claim's jobs from the fronts of its queues' lines: by priority, then by seq."""
    mine = [lines[queue] for queue in dict.fromkeys(claim.queues)]
    if len(mine) == 1:
        (line,) = mine
        return [line.take() for _ in range(min(claim.count, len(line.places)))]
    picked: list[int] = []
    fronts = [(line.places[0], i) for i, line in enumerate(mine) if line.places]
    heapq.heapify(fronts)
    while fronts and len(picked) < claim.count:
        line = mine[fronts[0][1]]
        picked.append(line.take())
        if line.places:
            heapq.heapreplace(fronts, (line.places[0], fronts[0][1]))
        else:
            heapq.heappop(fronts)
    return picked
