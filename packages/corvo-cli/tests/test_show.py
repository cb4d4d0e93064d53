"""Views as plain text and on a terminal."""

import io
import re

import pytest

from corvo_cli.show.plain import plain_lines, width
from corvo_cli.show.terminal import print_view
from corvo_cli.show.views import Cell, Column, Fields, Section, Table, state

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
LONG = ("a rather long text " * 10).rstrip()


@pytest.fixture
def table() -> Table:
    columns = [Column("JOB"), Column("N", is_number=True), Column("TEXT", can_shrink=True)]
    rows = [
        (Cell(JOB_ID), Cell(7), Cell("漢字")),
        (Cell(JOB_ID, "dead"), Cell(1_000), Cell(LONG)),
    ]
    return Table(columns, rows)


def on_terminal(view: list[object], *, has_colour: bool = False) -> str:
    stream = io.StringIO()
    print_view(view, stream, has_colour=has_colour)  # type: ignore[arg-type]
    return stream.getvalue()


def unstyled(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_plain_table_is_aligned_and_not_truncated(table: Table) -> None:
    assert list(plain_lines([table])) == [
        "JOB                                N  TEXT",
        f"{JOB_ID}     7  漢字",
        f"{JOB_ID}  1000  {LONG}",
    ]


def test_plain_fields_omit_empty_values() -> None:
    fields = Fields([("id", Cell("x")), ("worker", Cell(None)), ("queue name", Cell("emails"))])
    assert list(plain_lines([fields])) == ["id:          x", "queue name:  emails"]


def test_plain_sections_have_a_title(table: Table) -> None:
    view = [Fields([("a", Cell(1))]), Section("text", ["b", "  c"]), Section("jobs", table=table)]
    lines = list(plain_lines(view))
    assert lines[:5] == ["a:  1", "", "text:", "  b", "    c"]
    assert lines[6:8] == ["jobs:", "  JOB                                N  TEXT"]


def test_fields_without_values_print_nothing() -> None:
    assert list(plain_lines([Fields([("a", Cell(""))])])) == []


def test_width_counts_columns() -> None:
    assert [width(text) for text in ("abc", "漢字", "e\u0301")] == [3, 4, 1]


def test_control_characters_in_cells_are_escaped() -> None:
    cell = Cell("\x1b[2J\n", "error")
    assert (str(cell), cell.style) == ("\\x1b[2J\\n", "red")
    assert state("pending").style == "cyan"
    assert state("unheard_of").style == ""


def test_terminal_truncates_only_columns_that_can_shrink(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    lines = unstyled(on_terminal([table])).splitlines()
    assert len(lines) == 3
    assert all(width(line) <= 70 for line in lines)
    assert all(JOB_ID in line for line in lines[1:])
    assert lines[2].rstrip().endswith("…")


def test_narrow_terminal_does_not_truncate_ids(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    text = on_terminal([Section("jobs", table=table)])
    assert text.count(JOB_ID) == 2


def test_terminal_has_colours_unless_disabled(table: Table) -> None:
    assert "\x1b[1;31m" in on_terminal([table], has_colour=True)
    assert "31m" not in on_terminal([table], has_colour=False)


def test_terminal_does_not_interpret_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    view = [
        Fields([("a", Cell("[red]x[/red] :smile: " + LONG)), ("b", Cell("", ""))]),
        Section("payload", ['{"a": [1]}', LONG]),
    ]
    text = unstyled(on_terminal(view))
    assert text == f'a  [red]x[/red] :smile: {LONG}\n\npayload\n  {{"a": [1]}}\n  {LONG}\n'


def test_view_starts_without_an_empty_line() -> None:
    text = unstyled(on_terminal([Section("first", ["x"])]))
    assert text == "first\n  x\n"
