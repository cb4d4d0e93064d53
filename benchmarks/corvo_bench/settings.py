"""The sizes of a full and of a quick run."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Settings:
    """Sizes of a run: numbers of rounds, jobs and calls. Durations are in seconds."""

    rounds: int = 3
    seconds: float = 3.0  # of each load
    client_jobs: int = 3_000  # enqueued one at a time
    concurrent_jobs: int = 20_000  # enqueued with 50 in flight, and drained by the worker
    deliveries: int = 600
    delivery_pause: float = 0.015
    pairs: int = 5  # of slices on two servers, for each ratio in each round
    slice_seconds: float = 1.0
    slice_deliveries: int = 100
    seed_jobs: int = 1_000_000
    queries: int = 500
    through_jobs: int = 1_000_000  # sent through one server before its memory is read
    bulk_jobs: int = 100_000
    curve_seconds: float = 2.5
    curve_rounds: int = 2
    curve_pairs: int = 3
    curve_slice_seconds: float = 0.8
    finished_jobs: tuple[int, ...] = (0, 500_000, 1_000_000, 2_000_000, 5_000_000)
    queues: tuple[int, ...] = (1, 10, 100, 300, 1_000)
    idle_workers: tuple[int, ...] = (1, 10, 100, 300, 1_000)
    scheduled_jobs: tuple[int, ...] = (0, 250_000, 500_000, 1_000_000)
    payload_bytes: tuple[int, ...] = (100, 1_000, 10_000, 50_000, 100_000, 250_000)
    offered_per_second: tuple[int, ...] = (500, 1_000, 2_000, 4_000, 6_000, 8_000)
    soak_seconds: float = 600.0
    peer_serial: int = 1_000
    peer_concurrent: int = 5_000
    peer_bulk: int = 10_000
    peer_drain: int = 5_000
    peer_steady: int = 5_000
    peer_pickups: int = 200


FULL = Settings()
QUICK = replace(
    FULL,
    rounds=1,
    seconds=1.5,
    client_jobs=800,
    concurrent_jobs=4_000,
    deliveries=200,
    pairs=2,
    slice_seconds=0.5,
    slice_deliveries=40,
    seed_jobs=50_000,
    queries=50,
    through_jobs=30_000,
    bulk_jobs=5_000,
    curve_seconds=1.0,
    curve_rounds=1,
    curve_pairs=1,
    curve_slice_seconds=0.5,
    finished_jobs=(0, 50_000),
    queues=(1, 100),
    idle_workers=(1, 100),
    scheduled_jobs=(0, 50_000),
    payload_bytes=(100, 10_000),
    offered_per_second=(500, 2_000),
    soak_seconds=3.0,
    peer_serial=200,
    peer_concurrent=1_000,
    peer_bulk=2_000,
    peer_drain=1_000,
    peer_steady=1_000,
    peer_pickups=50,
)
