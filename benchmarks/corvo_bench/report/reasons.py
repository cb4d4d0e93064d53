"""Why metrics are behind, where they are: what profiles said, by metric."""

_REQUEST = (
    "The event loop is the limit, in Python: a quarter of its time is the system call that sends "
    "an answer, the rest is spread (decision 8)."
)
_LIFE = "Each of the three requests takes what an enqueue takes."
_PICKUP = (
    "A job here comes after a pause, to processors that sleep and caches that are cold, where each "
    "step takes two to three times as long: the event loop, the writer's thread, the loop again "
    "and the worker are woken one after the other, with an fsync in between. beanstalkd and Redis "
    "hand over in one thread, in C."
)

REASONS: dict[str, str] = {
    "enqueue.10": _REQUEST,
    "enqueue.50": _REQUEST,
    "life.10": _LIFE,
    "life.50": _LIFE,
    "delivery.p50": _PICKUP,
    "peer.serial": (
        "One call at a time waits for a request in HTTP, read and checked in Python, two changes "
        "of thread, a commit and an fsync of its own (0.2 ms), and the answer: the client takes "
        "0.05 to 0.1 of the 0.5 to 0.8 ms. Huey has no server: its producer writes the file "
        "itself. Redis and beanstalkd do it in one thread, in C, over a protocol of their own. "
        "With many calls in flight, which share requests and commits, it is the other way round."
    ),
    "peer.concurrent": (
        "What bounds it is the producer's process, one core in Python here and in JavaScript "
        "there; look at the spreads of both before the ratio."
    ),
    "peer.bulk": (
        "A job of a batch takes 6 µs of the server and 3 of the client, one after the other: its "
        "id is looked up, so that a repeated request doubles nothing, it gets an event and its "
        "place in the counters. Those on PostgreSQL let it take a set of rows apart, in C."
    ),
    "peer.drain": (
        "A job takes 19 µs of the server and 14 of the worker: a slot, a task, a lease that is "
        "kept, two events, a report. pg-boss's row is a loop that fetches 500 and completes "
        "500 in a call each, with none of them."
    ),
    "peer.pickup.p50": _PICKUP,
    "peer.pickup.p99": _PICKUP,
}
