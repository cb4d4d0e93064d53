"""Explanations, by metric name, of values below their goal or below another system."""

_REQUEST = (
    "The limit is the event loop, in Python. A quarter of its time goes to the system call that "
    "sends an answer; the rest is spread over many functions (decision 8)."
)
_LIFE = "Each of the three requests costs as much as an enqueue."
_PICKUP = (
    "In this test, each job arrives after a pause. Processors sleep and caches are cold then, so "
    "each step takes two to three times as long. The event loop, the writer thread, the event "
    "loop again and the worker wake up one after the other, with an fsync in between. beanstalkd "
    "and Redis hand over a job within one thread, in C."
)

REASONS: dict[str, str] = {
    "enqueue.10": _REQUEST,
    "enqueue.50": _REQUEST,
    "life.10": _LIFE,
    "life.50": _LIFE,
    "delivery.p50": _PICKUP,
    "peer.serial": (
        "Each call waits for an HTTP request that Python parses and validates, for two switches "
        "between threads, for its own commit with an fsync (0.2 ms), and for the answer. The "
        "client takes 0.05 to 0.1 ms of the 0.5 to 0.8 ms. Huey has no server: its producer "
        "writes the file itself. Redis and beanstalkd do the work in one thread, in C, with their "
        "own protocols. With many calls in flight, which share requests and commits, Corvo is "
        "faster."
    ),
    "peer.concurrent": (
        "The limit is the producer: one process on one core, in Python for Corvo and in "
        "JavaScript for the systems on Node. Compare the ranges of both before the ratio."
    ),
    "peer.bulk": (
        "A job of a bulk enqueue costs 6 µs in the server and then 3 µs in the client. The server "
        "looks up its id, so that a repeated request stores no job twice. It also appends an "
        "event and updates counters. The systems on PostgreSQL let PostgreSQL split a set of "
        "rows, in C."
    ),
    "peer.drain": (
        "A job costs 19 µs in the server and 14 µs in the worker: a slot, a task, a lease that is "
        "renewed, two events and a report. The adapter of pg-boss is a loop that fetches 500 jobs "
        "in one call and completes 500 in another, and does none of this."
    ),
    "peer.pickup.p50": _PICKUP,
    "peer.pickup.p99": _PICKUP,
}
