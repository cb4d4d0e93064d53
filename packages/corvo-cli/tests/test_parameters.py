"""Types of options. Their choices repeat the schema, so that the help loads fast."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from corvo_cli.commands.search import SORTS
from corvo_cli.parameters import (
    BACKOFF,
    DURATION,
    ON_CONFLICT,
    PRIORITY,
    SPAN,
    STATE,
    TIME,
    NumberType,
)
from corvo_schema import Backoff, JobState, OnConflict, Priority, SortField


def test_choices_match_the_schema() -> None:
    assert list(BACKOFF.choices) == [backoff.value for backoff in Backoff]
    assert list(ON_CONFLICT.choices) == [choice.value for choice in OnConflict]
    assert list(PRIORITY.choices) == [priority.label for priority in Priority]
    assert set(STATE.choices) == {state.value for state in JobState}
    assert [field.value for field in SortField] == SORTS


@pytest.mark.parametrize("word", ["failed", "dead"])
def test_failed_means_dead(word: str) -> None:
    assert STATE.convert(word, None, None) == "dead"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("2026-01-31T08:00", "2026-01-31T08:00:00Z"),
        ("2026-01-31 08:00:01.5", "2026-01-31T08:00:01.5Z"),
    ],
)
def test_date_and_time_without_a_zone_are_in_utc(text: str, time: str) -> None:
    assert TIME.convert(text, None, None) == time


@pytest.mark.parametrize("text", ["abc", "1.5", "", "11", "-1", "٣", "9" * 400])
def test_number_says_what_it_expects(text: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        NumberType(0, 10).convert(text, None, None)
    assert caught.value.message == f"{text!r} is not a whole number from 0 to 10."
    assert NumberType(0, 10).convert("10", None, None) == 10


@pytest.mark.parametrize("text", ["+60", "+1m"])
def test_time_of_an_enqueue_may_be_relative_to_now(corvo: Any, server: Any, text: str) -> None:
    server.has_no_queues = True
    server.answer("POST /enqueue", {"job_id": "job_1", "status": "scheduled"})
    assert corvo("enqueue", "q", "--scheduled-at", text).exit_code == 0
    assert corvo("enqueue", "q", "--scheduled-at", "2026-02-01").exit_code == 0
    first, last = [body["scheduled_at"] for body in server.bodies if body]
    assert first == "2026-01-31T08:01:00.000Z"
    assert last == "2026-02-01T00:00:00.000Z"


def test_duration_is_in_seconds() -> None:
    assert DURATION.convert("1m30s", None, None) == 90
    assert DURATION.convert(2, None, None) == 2
    assert DURATION.convert("2.5", None, None) == 2.5


@pytest.mark.parametrize(
    ("text", "span"), [("10", "10s"), ("1.5", "1.5s"), ("10m", "10m"), ("soon", "soon")]
)
def test_bare_number_is_seconds(text: str, span: str) -> None:
    assert SPAN.convert(text, None, None) == span


@pytest.mark.parametrize("text", ["2026-01-31T08:00:00Z", "nonsense", "1h"])
def test_time_without_a_context_is_unchanged(text: str) -> None:
    assert TIME.convert(text, None, None) == text


def test_default_may_be_a_number() -> None:
    @click.command()
    @click.option("--wait", type=DURATION, default=5)
    def command(wait: float) -> None:
        click.echo(wait)

    assert CliRunner().invoke(command, []).stdout == "5.0\n"
