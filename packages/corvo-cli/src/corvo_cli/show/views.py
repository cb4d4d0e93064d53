"""The content of a view, independent of where it is printed: tables, fields and sections."""

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
"""Styles of rich by state, status or role of the text."""


class Cell(str):
    """One line of printable text with a style of rich."""

    style: str

    __slots__ = ("style",)

    def __new__(cls, text: object, style: str = "") -> "Cell":
        """Create a cell from any value. None is an empty cell. `style` is a key of `STYLES`."""
        cell = super().__new__(cls, "" if text is None else printable(str(text)))
        cell.style = STYLES.get(style, "")
        return cell


def state(word: object) -> Cell:
    """Return a cell with the word in the style of that state or status."""
    return Cell(word, str(word))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. It is truncated on a narrow terminal only if it `can_shrink`."""

    title: str
    is_number: bool = False
    can_shrink: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Each row has a cell for each column."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    has_titles: bool = True


@dataclass(frozen=True, slots=True)
class Fields:
    """Names and values, one pair per line. Pairs without a value are omitted."""

    pairs: Sequence[tuple[str, Cell]]

    def shown(self) -> list[tuple[str, Cell]]:
        """Return the pairs that have a value."""
        return [pair for pair in self.pairs if pair[1]]


@dataclass(frozen=True, slots=True)
class Section:
    """A title with lines of text or a table below it."""

    title: str
    lines: Sequence[str] = ()
    table: Table | None = field(default=None)


Block: TypeAlias = Table | Fields | Section
View: TypeAlias = Sequence[Block]
