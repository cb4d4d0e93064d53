"""The entry point of `corvo` and of `python -m corvo_cli`."""

import io
import sys

from corvo_cli.exits import ExitCode, Failure
from corvo_cli.root import corvo
from corvo_cli.streams import CannotWrite, discard, prepared_streams


def main() -> None:
    """Run the command line, and exit with its exit code."""
    with prepared_streams():
        code = _run()
    sys.exit(code)


def _run() -> int | str | None:
    try:
        try:
            corvo(prog_name="corvo")
        except SystemExit as ended:
            sys.stdout.flush()
            return ended.code
    except CannotWrite as error:
        Failure(f"Cannot write to stdout: {error.strerror}.").show()
        if isinstance(sys.stdout, io.TextIOWrapper):
            discard(sys.stdout)
        return ExitCode.ERROR
    return ExitCode.OK
