"""Render views on a terminal with rich, fitted to its width."""

import shutil
from collections.abc import Iterator, Sequence
from typing import IO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from corvo_cli.show.plain import width
from corvo_cli.show.views import Cell, Fields, Section, Table, View

_GAP = 2
_MIN_WIDTH = 12
"""Minimum width, in columns, of a table column that can shrink."""


def print_view(view: View, stream: IO[str], *, has_colour: bool) -> None:
    """Print a view on a terminal."""
    console = _console(stream, has_colour)
    needed = max((_needed(table) for table in _tables(view)), default=0)
    # The terminal wraps a table that does not fit. Truncated ids could not be copied.
    console.width = max(console.width, needed)
    for index, block in enumerate(view):
        for part in _renderables(block, is_first=index == 0):
            console.print(part, soft_wrap=isinstance(part, Text))


def print_row(
    cells: Sequence[Cell], widths: Sequence[int], stream: IO[str], *, has_colour: bool
) -> None:
    """Print cells on one line. Pad each cell but the last to its width in columns."""
    line = Text()
    for cell, wanted in zip(cells, [*widths, 0], strict=True):
        line.append(cell, cell.style)
        line.append(" " * (max(0, wanted - width(cell)) + _GAP))
    line.rstrip()
    _console(stream, has_colour).print(line, soft_wrap=True)


def _console(stream: IO[str], has_colour: bool) -> Console:
    # Given a width and a height, rich does not assume 80 columns under TERM=dumb, which would cut
    # ids, and takes COLUMNS into account.
    columns, lines = shutil.get_terminal_size()
    return Console(
        file=stream,
        width=columns,
        height=lines,
        no_color=not has_colour,
        force_terminal=True,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def _tables(view: View) -> Iterator[Table]:
    for block in view:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Section) and block.table is not None:
            yield block.table


def _needed(table: Table) -> int:
    """Return the minimum width, in columns, that truncates no column that cannot shrink."""
    total = 2 * _GAP
    for index, column in enumerate(table.columns):
        widest = max([width(column.title), *(width(row[index]) for row in table.rows)])
        total += (min(widest, _MIN_WIDTH) if column.can_shrink else widest) + _GAP
    return total


def _renderables(block: Table | Fields | Section, *, is_first: bool) -> Iterator[RenderableType]:
    match block:
        case Table():
            yield _table(block)
        case Fields():
            pairs = block.shown()
            wanted = max((width(name) for name, _ in pairs), default=0)
            for name, value in pairs:
                label = name + " " * (wanted - width(name) + _GAP)
                yield Text.assemble((label, "dim"), (value, value.style))
        case Section(title, lines, table):
            yield Text(title if is_first else f"\n{title}", style="bold")
            for line in lines:
                yield Text(" " * _GAP + line)
            if table is not None:
                yield Padding(_table(table), (0, 0, 0, _GAP))


def _table(table: Table) -> RichTable:
    rich = RichTable(
        box=None,
        padding=(0, _GAP, 0, 0),
        header_style="dim",
        pad_edge=False,
        show_header=table.has_titles,
    )
    for column in table.columns:
        rich.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
        if column.can_shrink:
            rich.columns[-1].no_wrap = False
    for row in table.rows:
        rich.add_row(*(_cell(text, str(getattr(text, "style", ""))) for text in row))
    return rich


def _cell(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
