"""`corvo-server`, also as `python -m corvo_server`."""

import os
import signal
import sys
from types import FrameType

COMMANDS = frozenset({"backup", "restore", "check", "vacuum", "transfer"})
"""What the command line knows, which is too heavy to ask in the first moments."""


def main() -> None:
    """Run the command line."""
    # Before the heavy imports: PID 1 of a container ignores signals that it has no handler for,
    # and a stop in the first moments would have to kill it.
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)
    # Whoever started us may have held back what came earlier, as our image does.
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    from corvo_server.cli import server  # noqa: PLC0415

    server(prog_name="corvo-server")


def _leave(number: int, _frame: FrameType | None) -> None:
    # A command that is told to stop has not done its work, and may have something to clear up. A
    # server that is has begun nothing, and goes at once: an exception would be lost in a finalizer
    # or a callback of the import system, where Python drops it, and the server would start.
    if COMMANDS.intersection(sys.argv[1:]):
        sys.exit(128 + number)
    os._exit(0)


if __name__ == "__main__":
    main()
