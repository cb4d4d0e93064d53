"""Render views as aligned plain text for files and pipes. No text is truncated."""

from collections.abc import Iterator, Sequence
from unicodedata import combining, east_asian_width

from corvo_cli.show.views import Fields, Section, Table, View

_GAP = "  "


def plain_lines(view: View) -> Iterator[str]:
    """Yield the lines of a view, without line ends."""
    for index, block in enumerate(view):
        match block:
            case Table():
                yield from _table(block)
            case Fields():
                yield from _fields(block)
            case Section(title, lines, table):
                if index:
                    yield ""
                yield f"{title}:"
                yield from (f"{_GAP}{line}" for line in lines)
                if table is not None:
                    yield from (f"{_GAP}{line}" for line in _table(table))


def plain_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return cells on one line. Pad each cell but the last to its width in columns."""
    *fixed, last = cells
    padded = [_padded(c, w, is_right=False) for c, w in zip(fixed, widths, strict=True)]
    return _GAP.join([*padded, last]).rstrip()


def width(text: str) -> int:
    """Return the width of a text on a terminal, in columns."""
    if text.isascii():
        return len(text)
    wide = sum(east_asian_width(character) in {"W", "F"} for character in text)
    return len(text) + wide - sum(combining(character) > 0 for character in text)


def _table(table: Table) -> Iterator[str]:
    lines: list[Sequence[str]] = [[column.title for column in table.columns], *table.rows]
    widths = [max(map(width, cells)) for cells in zip(*lines, strict=True)]
    for cells in lines if table.has_titles else table.rows:
        padded = [
            _padded(cell, columns, is_right=column.is_number)
            for cell, columns, column in zip(cells, widths, table.columns, strict=True)
        ]
        yield _GAP.join(padded).rstrip()


def _fields(fields: Fields) -> Iterator[str]:
    pairs = fields.shown()
    columns = max((width(name) for name, _ in pairs), default=0) + 1
    for name, value in pairs:
        yield f"{_padded(name + ':', columns, is_right=False)}{_GAP}{value}"


def _padded(text: str, columns: int, *, is_right: bool) -> str:
    padding = " " * (columns - width(text))
    return padding + text if is_right else text + padding
