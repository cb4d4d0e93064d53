"""A program that runs a worker with a concurrency of 1. CORVO_SERVER names the server.

Arguments: the queue, a name from `BEHAVIOURS`, the grace period in seconds. Handlers report on
stdout, in lines like `started JOB_ID ATTEMPT`.
"""

import asyncio
import logging
import sys
import threading

from corvo_client.worker import Context, Worker

_LEASE = 2.0


def report(what: str, context: Context) -> None:
    print(what, context.id, context.attempt, flush=True)


async def finish(context: Context) -> str:
    """Return a result at once."""
    report("started", context)
    return "finished"


async def wait_for_ever(context: Context) -> None:
    """Store a checkpoint, then wait until cancelled."""
    report("started", context)
    context.checkpoint({"row": 7})
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        report("interrupted", context)
        raise


def be_stuck(context: Context) -> None:
    """Store a checkpoint, then block the thread for ever."""
    report("started", context)
    context.checkpoint({"row": 7})
    threading.Event().wait()


BEHAVIOURS = {"finish": finish, "wait": wait_for_ever, "stick": be_stuck}


def main() -> None:
    """Run the worker until a signal stops it."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    queue, behaviour, grace_period = sys.argv[1:]
    worker = Worker(lease_duration=_LEASE, grace_period=float(grace_period), concurrency=1)
    worker.task(queue)(BEHAVIOURS[behaviour])
    worker.run()


if __name__ == "__main__":
    main()
