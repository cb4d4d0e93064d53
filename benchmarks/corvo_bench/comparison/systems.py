"""Who takes part, on what, and how each was set up."""

from dataclasses import dataclass

from corvo_bench.comparison.environments import versions_of
from corvo_bench.results import CORVO

_ON = {
    "redis": "Redis, `appendonly yes`, `appendfsync always`: an fsync before each answer",
    "postgres": "PostgreSQL, `synchronous_commit=on`: an fsync a commit",
    "beanstalkd": "beanstalkd, `-b`, `-f 0`: an fsync before each answer",
    "sqlite": "SQLite, WAL, `synchronous=FULL`: an fsync a commit",
    "corvo": "its server's SQLite, WAL, `synchronous=FULL`: an fsync a commit, shared",
}


@dataclass(frozen=True)
class System:
    """A system. `runtime` is what `environments.command_of` takes, `package` has the version."""

    name: str
    adapter: str
    runtime: str
    backend: str
    setup: str
    package: str = ""

    @property
    def note(self) -> str:
        """Version, backend with its durability, and settings."""
        version = f"{versions_of(self.runtime, self.package)}. " if self.package else ""
        kind, _, nodes = self.backend.partition(":")
        on = _ON.get(kind) or f"{nodes} of its servers on {_ON['postgres']}"
        return f"{version}{on}. {self.setup}"


_CORVO_SETUP = (
    "`Client.enqueue` one after the other, `AsyncClient.enqueue` for 50 in flight, "
    "`enqueue_batch` in bulk; `Worker(concurrency=50)`, which acknowledges after the job."
)

SYSTEMS = (
    System(CORVO, "corvo_peer", "own", "corvo", _CORVO_SETUP),
    System(
        "BullMQ",
        "bullmq_peer",
        "node",
        "redis",
        "Node; `addBulk` in bulk; 50 jobs at a time, `removeOnComplete`.",
        "bullmq",
    ),
    System(
        "Celery",
        "celery_peer",
        "celery",
        "redis",
        "`acks_late`, no results, 50 threads enqueue, a group in bulk; one worker process with 8 "
        "threads, prefetch 16 each, without gossip, mingle and heartbeat.",
        "celery",
    ),
    System(
        "Dramatiq",
        "dramatiq_peer",
        "dramatiq",
        "redis",
        "50 threads enqueue, no bulk in its API: one after the other; one process with 8 threads, "
        "acknowledged after the job.",
        "dramatiq",
    ),
    System(
        "RQ",
        "rq_peer",
        "rq",
        "redis",
        "50 threads enqueue, `enqueue_many` in bulk; `SimpleWorker`, which does not fork, "
        "`result_ttl=0`.",
        "rq",
    ),
    System(
        "SAQ",
        "saq_peer",
        "saq",
        "redis",
        "hiredis; no bulk in its API: 1,000 enqueues at once; 50 jobs at a time, results not kept.",
        "saq",
    ),
    System(
        "TaskIQ",
        "taskiq_peer",
        "taskiq",
        "redis",
        "`RedisStreamBroker`, which acknowledges; no bulk in its API: 1,000 enqueues at once; 50 "
        "jobs at a time and 100 more prefetched, no results.",
        "taskiq",
    ),
    System(
        "Procrastinate",
        "procrastinate_peer",
        "procrastinate",
        "postgres",
        "Pool of 20 connections, `batch_defer` in bulk; 50 jobs at a time, woken by LISTEN, "
        "finished jobs removed.",
        "procrastinate",
    ),
    System(
        "PgQueuer",
        "pgqueuer_peer",
        "pgqueuer",
        "postgres",
        "asyncpg with a pool of 20, lists of jobs in bulk; batches of 100.",
        "pgqueuer",
    ),
    System(
        "graphile-worker",
        "graphile_peer",
        "node",
        "postgres",
        "Node; pool of 20, `addJobs` in bulk; 24 jobs at a time, local queue of 500, completion "
        "in batches.",
        "graphile-worker",
    ),
    System(
        "pg-boss",
        "pgboss_peer",
        "node",
        "postgres",
        "Node; pool of 20, `insert` in bulk; `fetch` and `complete` in a loop, 500 at a time, "
        "with a pause of 5 ms when there is nothing: `work` polls at most twice a second.",
        "pg-boss",
    ),
    System(
        "beanstalkd",
        "beanstalkd_peer",
        "beanstalkd",
        "beanstalkd",
        "50 threads enqueue, no bulk in its protocol: one after the other; one process with 8 "
        "threads, each reserves a job and deletes it after it has run.",
        "greenstalk",
    ),
    System(
        "Huey",
        "huey_peer",
        "huey",
        "sqlite",
        "50 threads enqueue, no bulk in its API: one after the other; one worker thread that polls "
        "every 2 ms. A job is removed before it runs, so it is lost with its worker.",
        "huey",
    ),
)

ON_POSTGRES = tuple(
    System(
        f"{CORVO} on PostgreSQL, {nodes} node{'s' if nodes > 1 else ''}",
        "corvo_peer",
        "own",
        f"corvo-postgres:{nodes}",
        "The client's calls go to the nodes in turn, the worker to the last.",
    )
    for nodes in (1, 2, 3)
)
