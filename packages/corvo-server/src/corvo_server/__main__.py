"""`corvo-server`, also as `python -m corvo_server`."""

import os
import signal
import sys
from types import FrameType

COMMANDS = frozenset({"backup", "restore", "check", "vacuum", "transfer", "keys"})
"""Names of the subcommands. They are repeated here because importing the command line is slow."""


def main() -> None:
    """Run the command line."""
    # Before the slow imports: the kernel drops signals without a handler for PID 1 of a container,
    # so a stop during the imports would have no effect.
    signal.signal(signal.SIGINT, _exit_early)
    signal.signal(signal.SIGTERM, _exit_early)
    # The parent process may have blocked the signals until now, as the entry point of the Docker
    # image does.
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    from corvo_server.cli import server  # noqa: PLC0415

    server(prog_name="corvo-server")


def _exit_early(number: int, _frame: FrameType | None) -> None:
    """Exit on a signal: with 128 + `number` from a command, with 0 from a starting server."""
    # An interrupted command has failed and may have to clean up. A starting server exits at once:
    # Python drops an exception that is raised in a finalizer or an import callback, and the server
    # would start.
    if COMMANDS.intersection(sys.argv[1:]):
        sys.exit(128 + number)
    os._exit(0)


if __name__ == "__main__":
    main()
