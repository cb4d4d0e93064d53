from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvo_cli.human import age, count, moment, printable, printable_lines, span

NOW = datetime(2026, 1, 31, 8, 0, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.9, "0s"),
        (42, "42s"),
        (60, "1m"),
        (61, "1m1s"),
        (3600, "1h"),
        (3601, "1h"),
        (5400, "1h30m"),
        (90_000, "1d1h"),
        (86_400 * 400, "400d"),
    ],
)
def test_span_has_at_most_two_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [(0, "now"), (0.5, "now"), (-0.5, "now"), (300, "5m ago"), (-7200, "in 2h")],
)
def test_age_distinguishes_past_and_future(ago: float, text: str) -> None:
    assert age(NOW - timedelta(seconds=ago), NOW) == text


def test_moment_has_milliseconds_and_an_age() -> None:
    assert moment(NOW, NOW + timedelta(hours=1)) == "2026-01-31 08:00:00.250Z (1h ago)"


def test_moment_of_none_is_empty() -> None:
    assert (age(None, NOW), moment(None, NOW)) == ("", "")


def test_count_uses_singular_and_plural() -> None:
    assert [count(n, "job") for n in (0, 1, 12_000)] == ["0 jobs", "1 job", "12,000 jobs"]
    assert count(2, "entry", "entries") == "2 entries"


def test_printable_escapes_control_characters() -> None:
    assert printable("a\x1b[31m\n\t\u202eb\x9b") == "a\\x1b[31m\\n\\t\\u202eb\\x9b"
    assert printable("żółć 漢字 🙂") == "żółć 漢字 🙂"


@given(st.text())
def test_printable_text_is_one_line_that_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    shown.encode()


def test_printable_lines_keeps_line_breaks() -> None:
    assert printable_lines("a\n\tb\x1b\r\nc") == ["a", "        b\\x1b", "c"]
