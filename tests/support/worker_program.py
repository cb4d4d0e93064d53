"""A worker in a process of its own, one job at a time; the server is that of CORVO_SERVER.

Arguments: the queue, a name out of `BEHAVIOURS`, the grace period in seconds. Handlers say what
they do on stdout, in lines like `started JOB_ID ATTEMPT`.
"""

import asyncio
import logging
import sys
import threading

from corvo_client.worker import Context, Worker

_LEASE = 2.0


def say(what: str, context: Context) -> None:
    print(what, context.id, context.attempt, flush=True)


async def finish(context: Context) -> str:
    """Do the work."""
    say("started", context)
    return "finished"


async def wait_for_ever(context: Context) -> None:
    """Get as far as a checkpoint, and no further."""
    say("started", context)
    context.checkpoint({"row": 7})
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("interrupted", context)
        raise


def be_stuck(context: Context) -> None:
    """The same, deaf to everything."""
    say("started", context)
    context.checkpoint({"row": 7})
    threading.Event().wait()


BEHAVIOURS = {"finish": finish, "wait": wait_for_ever, "stick": be_stuck}


def main() -> None:
    """Work until told to stop."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    queue, behaviour, grace_period = sys.argv[1:]
    worker = Worker(lease_duration=_LEASE, grace_period=float(grace_period), concurrency=1)
    worker.task(queue)(BEHAVIOURS[behaviour])
    worker.run()


if __name__ == "__main__":
    main()
