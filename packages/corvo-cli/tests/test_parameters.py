"""Types of options. Their choices repeat the schema, so that the help loads fast."""

import click
import pytest
from click.testing import CliRunner

from corvo_cli.commands.search import SORTS
from corvo_cli.parameters import BACKOFF, DURATION, ON_CONFLICT, PRIORITY, SPAN, STATE, TIME
from corvo_schema import Backoff, JobState, OnConflict, Priority, SortField


def test_choices_match_the_schema() -> None:
    assert list(BACKOFF.choices) == [backoff.value for backoff in Backoff]
    assert list(ON_CONFLICT.choices) == [choice.value for choice in OnConflict]
    assert list(PRIORITY.choices) == [priority.label for priority in Priority]
    assert set(STATE.choices) == {state.value for state in JobState}
    assert [field.value for field in SortField] == SORTS


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
