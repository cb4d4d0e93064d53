"""Where a command's words go: data to stdout, in the format asked for; messages to stderr."""

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
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    """Exactly what the server sent; a composition of answers where there were several."""
    JSONL = "jsonl"
    """The same with one element of a list on each line."""


class Output:
    """Prints in one format. The streams are those of the process at the time of printing."""

    def __init__(
        self,
        format: Format,  # noqa: A002
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.format = format
        self._environment = os.environ if environment is None else environment

    @property
    def is_json(self) -> bool:
        """Whether a program reads along: nothing may be asked then."""
        return self.format is not Format.TABLE

    @property
    def is_terminal(self) -> bool:
        """Whether data goes to somebody who looks at it right away."""
        return sys.stdout.isatty()

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer a question."""
        return not self.is_json and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def has_screen(self) -> bool:
        """Whether the whole window of a terminal can be had, with its keys."""
        return not self.is_json and all(
            stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)
        )

    @property
    def can_draw(self) -> bool:
        """Whether progress can be drawn, which is done on stderr."""
        return sys.stderr.isatty() and self._environment.get("TERM") != "dumb"

    @property
    def has_colour(self) -> bool:
        """Whether colours are welcome, as https://no-color.org has it."""
        return not self._environment.get("NO_COLOR") and self._environment.get("TERM") != "dumb"

    def one(self, body: bytes, view: Callable[[], View]) -> None:
        """Print one object: `body` as it came, or its view."""
        if self.is_json:
            self.raw(body)
        else:
            self.view(view())

    def many(self, body: bytes, view: Callable[[], View], *, member: str = "") -> None:
        """Print a list: the array that `body` is, or the one that is its `member`."""
        if self.format is Format.JSONL:
            text = body.decode()
            self.lines(json_text.items(json_text.members(text)[member] if member else text))
        else:
            self.one(body, view)

    def done(self, body: bytes, message: str) -> None:
        """Print what an action came to: the server's JSON, or a message that says it."""
        if self.is_json:
            self.raw(body)
        else:
            self.say(message)

    def raw(self, body: bytes) -> None:
        """Print JSON; one document is one line under jsonl, too."""
        text = body.decode()
        self.lines([json_text.one_line(text) if self.format is Format.JSONL else text.rstrip("\n")])

    def lines(self, texts: Iterable[str]) -> None:
        """Print lines of data as they are."""
        for text in texts:
            # Not click.echo, which strips from the data what it takes for colours.
            sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def write(self, text: str) -> None:
        """Write a part of a document."""
        sys.stdout.write(text)

    def view(self, view: View) -> None:
        """Print a view, as the place it goes to allows."""
        if not self.is_terminal:
            self.lines(plain_lines(view))
            return
        from corvo_cli.show.terminal import print_view  # noqa: PLC0415 - rich is slow to load

        print_view(view, sys.stdout, has_colour=self.has_colour)

    def row(self, cells: Sequence[Cell], widths: Sequence[int]) -> None:
        """Print one line of a table that has no end; the last cell has no width."""
        if not self.is_terminal:
            self.lines([plain_row(cells, widths)])
            return
        from corvo_cli.show.terminal import print_row  # noqa: PLC0415 - rich is slow to load

        print_row(cells, widths, sys.stdout, has_colour=self.has_colour)

    def say(self, message: str) -> None:
        """Tell the person something that is no data."""
        click.echo(printable(message), err=True)
