"""List the compared systems with their backends and settings."""

from dataclasses import dataclass

from corvo_bench.comparison.environments import versions_of
from corvo_bench.results import CORVO

_ON = {
    "redis": "Redis, `appendonly yes`, `appendfsync always`: an fsync before each answer",
    "postgres": "PostgreSQL, `synchronous_commit=on`: an fsync for each commit",
    "beanstalkd": "beanstalkd, `-b`, `-f 0`: an fsync before each answer",
    "sqlite": "SQLite, WAL, `synchronous=FULL`: an fsync for each commit",
    "corvo": "Its server with SQLite, WAL, `synchronous=FULL`: an fsync for each group commit",
}


@dataclass(frozen=True)
class System:
    """A system under test.

    `runtime` is an argument of `environments.command_of`. `package` is the package whose version
    the report shows.
    """

    name: str
    adapter: str
    runtime: str
    backend: str
    setup: str
    package: str = ""

    @property
    def note(self) -> str:
        """Version, backend with its durability, and settings, for the report."""
        version = f"{versions_of(self.runtime, self.package)}. " if self.package else ""
        kind, _, nodes = self.backend.partition(":")
        on = _ON.get(kind) or f"{nodes} {'nodes' if nodes != '1' else 'node'} on {_ON['postgres']}"
        return f"{version}{on}. {self.setup}"


_CORVO_SETUP = (
    "`Client.enqueue` one at a time, `AsyncClient.enqueue` for 50 in flight, `enqueue_batch` in "
    "bulk. `Worker(concurrency=50)`, which acks after the job."
)

SYSTEMS = (
    System(CORVO, "corvo_peer", "own", "corvo", _CORVO_SETUP),
    System(
        "BullMQ",
        "bullmq_peer",
        "node",
        "redis",
        "Node. `addBulk` in bulk. 50 jobs at a time, `removeOnComplete`.",
        "bullmq",
    ),
    System(
        "Celery",
        "celery_peer",
        "celery",
        "redis",
        "`acks_late`, no results. 50 threads enqueue; a group in bulk. One worker process with 8 "
        "threads and a prefetch of 16 for each, without gossip, mingle and heartbeat.",
        "celery",
    ),
    System(
        "Dramatiq",
        "dramatiq_peer",
        "dramatiq",
        "redis",
        "50 threads enqueue. Its API has no bulk call: one at a time. One process with 8 threads, "
        "which acknowledges after the job.",
        "dramatiq",
    ),
    System(
        "RQ",
        "rq_peer",
        "rq",
        "redis",
        "50 threads enqueue; `enqueue_many` in bulk. `SimpleWorker`, which does not fork; "
        "`result_ttl=0`.",
        "rq",
    ),
    System(
        "SAQ",
        "saq_peer",
        "saq",
        "redis",
        "hiredis. Its API has no bulk call: 1,000 enqueues at once. 50 jobs at a time; results are "
        "not kept.",
        "saq",
    ),
    System(
        "TaskIQ",
        "taskiq_peer",
        "taskiq",
        "redis",
        "`RedisStreamBroker`, which acknowledges. Its API has no bulk call: 1,000 enqueues at "
        "once. 50 jobs at a time and a prefetch of 100, no results.",
        "taskiq",
    ),
    System(
        "Procrastinate",
        "procrastinate_peer",
        "procrastinate",
        "postgres",
        "Pool of 20 connections; `batch_defer` in bulk. 50 jobs at a time, woken by LISTEN. "
        "Finished jobs are removed.",
        "procrastinate",
    ),
    System(
        "PgQueuer",
        "pgqueuer_peer",
        "pgqueuer",
        "postgres",
        "asyncpg with a pool of 20 connections; lists of jobs in bulk. Batches of 100.",
        "pgqueuer",
    ),
    System(
        "graphile-worker",
        "graphile_peer",
        "node",
        "postgres",
        "Node. Pool of 20 connections; `addJobs` in bulk. 24 jobs at a time, local queue of 500, "
        "completion in batches.",
        "graphile-worker",
    ),
    System(
        "pg-boss",
        "pgboss_peer",
        "node",
        "postgres",
        "Node. Pool of 20 connections; `insert` in bulk. A loop of `fetch` and `complete`, 500 at "
        "a time, with a pause of 5 ms without jobs, because `work` polls at most twice a second.",
        "pg-boss",
    ),
    System(
        "beanstalkd",
        "beanstalkd_peer",
        "beanstalkd",
        "beanstalkd",
        "50 threads enqueue. Its protocol has no bulk call: one at a time. One process with 8 "
        "threads; each reserves a job and deletes it after the run.",
        "greenstalk",
    ),
    System(
        "Huey",
        "huey_peer",
        "huey",
        "sqlite",
        "50 threads enqueue. Its API has no bulk call: one at a time. One worker thread, which "
        "polls every 2 ms. A job is removed before it runs, so it is lost if the worker crashes.",
        "huey",
    ),
)

ON_POSTGRES = tuple(
    System(
        f"{CORVO} on PostgreSQL, {nodes} node{'s' if nodes > 1 else ''}",
        "corvo_peer",
        "own",
        f"corvo-postgres:{nodes}",
        "The client sends its calls to the nodes in turn; the worker uses the last node.",
    )
    for nodes in (1, 2, 3)
)
