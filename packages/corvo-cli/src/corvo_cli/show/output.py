"""Print data to stdout in the requested format, and messages to stderr."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

import click

from corvo_cli import json_text
from corvo_cli.human import printable
from corvo_cli.show.plain import plain_lines, plain_row
from corvo_cli.show.views import Cell, View


class Format(StrEnum):
    """The format of data on stdout."""

    TABLE = "table"
    JSON = "json"
    """The server's JSON, unchanged. Several replies are merged into one object."""
    JSONL = "jsonl"
    """The server's JSON on one line, with one line per element of a list."""


class Output:
    """Print in one format. The streams are looked up at each call, so tests can replace them."""

    def __init__(
        self,
        format: Format,  # noqa: A002
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.format = format
        self._environment = os.environ if environment is None else environment

    @property
    def is_json(self) -> bool:
        """Whether the output is for a program. Such a command must not ask questions."""
        return self.format is not Format.TABLE

    @property
    def is_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return sys.stdout.isatty()

    @property
    def can_ask(self) -> bool:
        """Whether a person can answer a question on the terminal."""
        return not self.is_json and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def has_screen(self) -> bool:
        """Whether a full-screen application can run on the terminal."""
        is_dumb = self._environment.get("TERM") == "dumb"
        return not (self.is_json or is_dumb) and all(
            stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)
        )

    @property
    def can_draw(self) -> bool:
        """Whether stderr is a terminal that can show progress."""
        return sys.stderr.isatty() and self._environment.get("TERM") != "dumb"

    @property
    def has_colour(self) -> bool:
        """Whether colours may be used, following https://no-color.org."""
        return not self._environment.get("NO_COLOR") and self._environment.get("TERM") != "dumb"

    def one(self, body: bytes, view: Callable[[], View]) -> None:
        """Print one object: `body` under JSON, or else its view."""
        if self.is_json:
            self.raw(body)
        else:
            self.view(view())

    def many(self, body: bytes, view: Callable[[], View], *, member: str = "") -> None:
        """Print a list: `body` itself, or the array under the name `member` in it."""
        if self.format is Format.JSONL:
            text = body.decode()
            self.lines(json_text.items(json_text.members(text)[member] if member else text))
        else:
            self.one(body, view)

    def done(self, body: bytes, message: str) -> None:
        """Print the result of an action: the server's JSON on stdout, or a message on stderr."""
        if self.is_json:
            self.raw(body)
        else:
            self.say(message)

    def secret(self, body: bytes, secret: str, message: str) -> None:
        """Print a new secret alone on stdout, and a message that says to keep it on stderr."""
        if self.is_json:
            self.raw(body)
        else:
            self.lines([secret])
            self.say(f"{message} Keep it now: it cannot be shown again.")

    def raw(self, body: bytes) -> None:
        """Print one JSON document. Put it on one line under jsonl."""
        text = body.decode()
        self.lines([json_text.one_line(text) if self.format is Format.JSONL else text.rstrip("\n")])

    def lines(self, texts: Iterable[str]) -> None:
        """Print lines of data unchanged."""
        for text in texts:
            # click.echo would remove text that looks like colour codes from the data.
            sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def write(self, text: str) -> None:
        """Write a part of a document to stdout."""
        sys.stdout.write(text)

    def view(self, view: View) -> None:
        """Print a view: styled on a terminal, else as plain text."""
        if not self.is_terminal:
            self.lines(plain_lines(view))
            return
        from corvo_cli.show.terminal import print_view  # noqa: PLC0415 - rich is slow to load

        print_view(view, sys.stdout, has_colour=self.has_colour)

    def row(self, cells: Sequence[Cell], widths: Sequence[int]) -> None:
        """Print one row of an endless table. `widths` covers all cells but the last."""
        if not self.is_terminal:
            self.lines([plain_row(cells, widths)])
            return
        from corvo_cli.show.terminal import print_row  # noqa: PLC0415 - rich is slow to load

        print_row(cells, widths, sys.stdout, has_colour=self.has_colour)

    def say(self, message: str) -> None:
        """Print a message on stderr."""
        click.echo(printable(message), err=True)
