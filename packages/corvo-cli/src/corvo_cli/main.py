"""The entry point of `corvo` and of `python -m corvo_cli`."""

import io
import sys

from corvo_cli.root import corvo


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # JSON is UTF-8 in every locale. A terminal keeps the encoding of its locale.
            encoding = None if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    corvo(prog_name="corvo")
