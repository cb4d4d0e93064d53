"""Handing out jobs to the fetches of one commit."""

import heapq
from collections import deque
from collections.abc import Iterator

import orjson

from corvo_server.store.records import Change, Claim, JobHead, LeasedJob
from corvo_server.store.sqlite.rows import SQL, to_leased
from corvo_server.store.sqlite.transaction import Transaction

_Place = tuple[int, int]
"""Where a job stands in the order of its queue: priority, seq."""


def fetch(tx: Transaction, claims: list[Claim]) -> list[list[LeasedJob]]:
    """Serve the claims in their order, each with the first jobs of its queues."""
    lines = _open_lines(tx, claims)
    picks = [_pick(claim, lines) for claim in claims]
    leased = _load(tx, [seq for seqs in picks for seq in seqs])
    changes: list[tuple[JobHead, Change]] = []
    answers = []
    for claim, seqs in zip(claims, picks, strict=True):
        jobs = [leased[seq] for seq in seqs]
        for job in jobs:
            change = claim.start(job.head)
            tx.record(job.head, change)
            changes.append((job.head, change))
            job.head = change.job
        answers.append(jobs)
    tx.write(changes)
    return answers


def _open_lines(tx: Transaction, claims: list[Claim]) -> dict[str, deque[_Place]]:
    """The first pending jobs of each queue: as many as are wanted at most, and may run."""
    wanted: dict[str, int] = {}
    for claim in claims:
        for queue in dict.fromkeys(claim.queues):
            wanted[queue] = wanted.get(queue, 0) + claim.count
    now = claims[0].now
    lines = {}
    for queue, count in wanted.items():
        limit = min(count, _room(tx, queue, count))
        if limit > 0:
            lines[queue] = deque(tx.connection.execute(SQL.first_pending, (queue, now, limit)))
    return lines


def _room(tx: Transaction, queue: str, wanted: int) -> int:
    """How many more jobs of `queue` may be active now; `wanted` where nothing limits it."""
    row = tx.connection.execute(SQL.queue_limits, (queue,)).fetchone()
    if row is None:  # created in this commit: its settings are the defaults
        return wanted
    is_paused: int = row[0]
    max_concurrency: int | None = row[1]
    active: int = row[2]
    if is_paused:
        return 0
    if max_concurrency is None:
        return wanted
    return max_concurrency - active - tx.active_delta(queue)


def _pick(claim: Claim, lines: dict[str, deque[_Place]]) -> list[int]:
    """Take the claim's jobs from the front of its queues' lines: by priority, then by seq."""
    mine = [lines[queue] for queue in dict.fromkeys(claim.queues) if lines.get(queue)]
    if len(mine) == 1:
        line = mine[0]
        return [line.popleft()[1] for _ in range(min(claim.count, len(line)))]
    picked: list[int] = []
    fronts = [(line[0], i) for i, line in enumerate(mine)]
    heapq.heapify(fronts)
    while fronts and len(picked) < claim.count:
        (_, seq), i = fronts[0]
        mine[i].popleft()
        picked.append(seq)
        if mine[i]:
            heapq.heapreplace(fronts, (mine[i][0], i))
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
