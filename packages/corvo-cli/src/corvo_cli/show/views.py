"""What there is to show, before it is known on what: blocks of tables, fields and text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from corvo_cli.human import printable

STYLES = {
    "pending": "cyan",
    "active": "bold blue",
    "scheduled": "magenta",
    "retrying": "yellow",
    "completed": "green",
    "dead": "bold red",
    "cancelled": "dim",
    "running": "bold blue",
    "queued": "cyan",
    "finished": "green",
    "failed": "bold red",
    "ok": "green",
    "healthy": "green",
    "paused": "yellow",
    "draining": "yellow",
    "not_fetching": "yellow",
    "silent": "bold red",
    "error": "red",
    "faint": "dim",
}
"""Styles of rich, by what they stand for."""


class Cell(str):
    """Text of one line, safe to print, with the name of a style from `STYLES`."""

    style: str

    __slots__ = ("style",)

    def __new__(cls, text: object, style: str = "") -> "Cell":
        """Make a cell of anything; None is empty."""
        cell = super().__new__(cls, "" if text is None else printable(str(text)))
        cell.style = STYLES.get(style, "")
        return cell


def state(word: object) -> Cell:
    """Return a cell in the style of the state that the word names."""
    return Cell(word, str(word))


@dataclass(frozen=True, slots=True)
class Column:
    """One column. One that `gives_way` is cut where a terminal is too narrow; others never are."""

    title: str
    is_number: bool = False
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under titles, with a cell for each column."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    has_titles: bool = True


@dataclass(frozen=True, slots=True)
class Fields:
    """Names and values, one pair a line; pairs without a value are left out."""

    pairs: Sequence[tuple[str, Cell]]

    def shown(self) -> list[tuple[str, Cell]]:
        """Return the pairs that have a value."""
        return [pair for pair in self.pairs if pair[1]]


@dataclass(frozen=True, slots=True)
class Section:
    """A title, with lines of text or a table under it; nothing when there are none."""

    title: str
    lines: Sequence[str] = ()
    table: Table | None = field(default=None)


Block: TypeAlias = Table | Fields | Section
View: TypeAlias = Sequence[Block]
