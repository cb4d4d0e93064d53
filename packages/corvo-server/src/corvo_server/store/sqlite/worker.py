"""Handing out jobs to the fetches of one commit."""

import heapq
import sqlite3
from collections.abc import Iterator

import orjson

from corvo_server.store.records import Change, Claim, Holder, JobHead, LeasedJob
from corvo_server.store.sqlite.lines import Line
from corvo_server.store.sqlite.rows import SQL, to_leased
from corvo_server.store.sqlite.transaction import Transaction


def fetch(tx: Transaction, claims: list[Claim]) -> list[list[LeasedJob]]:
    """Serve the claims in their order, each with the first jobs of its queues."""
    # A claim that was submitted before what it gets must not start it before that.
    now = max(tx.latest, *(claim.now for claim in claims))
    lines = _open_lines(tx, claims, now)
    picks = [_pick(claim, lines) for claim in claims]
    for line in lines.values():
        line.close()
    leased = _load(tx, [seq for seqs in picks for seq in seqs])
    changes: list[tuple[JobHead, Change]] = []
    answers = []
    for claim, seqs in zip(claims, picks, strict=True):
        jobs = [leased[seq] for seq in seqs]
        for job in jobs:
            change = claim.start(job.head, now)
            tx.record(job.head, change)
            changes.append((job.head, change))
            job.head = change.job
        answers.append(jobs)
    tx.write(changes)
    return answers


def _open_lines(tx: Transaction, claims: list[Claim], now: int) -> dict[str, Line]:
    """The line of each queue that is asked for, as long as all claims together could want it."""
    wanted: dict[str, int] = {}
    for claim in claims:
        for queue in dict.fromkeys(claim.queues):
            wanted[queue] = wanted.get(queue, 0) + claim.count
    return {queue: Line(tx, queue, count, now) for queue, count in wanted.items()}


def _pick(claim: Claim, lines: dict[str, Line]) -> list[int]:
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


def _load(tx: Transaction, seqs: list[int]) -> dict[int, LeasedJob]:
    if not seqs:
        return {}
    rows: Iterator[tuple[object, ...]] = tx.connection.execute(
        SQL.claimed_by_seq, (orjson.dumps(seqs).decode(),)
    )
    return dict(map(to_leased, rows))


def list_holders(connection: sqlite3.Connection) -> list[Holder]:
    """The workers that hold active jobs."""
    return [Holder(*row) for row in connection.execute(SQL.list_holders)]
