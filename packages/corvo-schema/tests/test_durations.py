"""Durations: format, bounds, and the two pydantic types."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from corvo_schema import MAX_DURATION_MS, Duration, Seconds, format_duration, parse_duration


class Sample(BaseModel):
    model_config = ConfigDict(strict=True)

    wait: Duration = 5_000
    period: Seconds = 60_000
    maybe: Duration | None = None


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("250ms", 250),
        ("5s", 5_000),
        ("10m", 600_000),
        ("1h30m", 5_400_000),
        ("7d", 604_800_000),
        ("0s", 0),
        ("90m", 5_400_000),
        ("1d2h3m4s5ms", 93_784_005),
        ("1.5s", 1_500),
        ("0.0019s", 1),
        ("1h0m0s", 3_600_000),
        ("3650d", MAX_DURATION_MS),
    ],
)
def test_parse_duration_reads_milliseconds(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "s", "5 s", " 5s", "5s\n", "-5s", "+5s", "1w", "1y", "5S", "5s5s", "5s1h"),
        *("1e3s", "\u0665s", ".5s", "5.s", "0x5s", "5s,", "five", "9" * 400 + "s"),
    ],
)
def test_parse_duration_refuses_other_notations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it like") as caught:
        parse_duration(text)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("text", ["3651d", "3650d1ms", "999999999d"])
def test_parse_duration_refuses_more_than_ten_years(text: str) -> None:
    with pytest.raises(ValueError, match="ten years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0s"), (1, "1ms"), (60_000, "1m"), (90_061_001, "1d1h1m1s1ms"), (1_500, "1s500ms")],
)
def test_format_duration_uses_the_largest_units(ms: int, text: str) -> None:
    assert format_duration(ms) == text


def test_format_duration_refuses_a_negative_one() -> None:
    with pytest.raises(ValueError, match="negative"):
        format_duration(-1)


@given(st.integers(min_value=0, max_value=MAX_DURATION_MS))
def test_duration_survives_the_round_trip(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms
    sample = Sample.model_validate(
        {"wait": format_duration(ms), "period": timedelta(milliseconds=ms)}
    )
    assert (sample.wait, sample.period) == (ms, ms)
    assert Sample.model_validate_json(sample.model_dump_json()) == sample
    assert Sample.model_validate(sample.model_dump()) == sample


@pytest.mark.parametrize(
    ("value", "ms", "wire"),
    [
        (30, 30_000, 30),
        (0, 0, 0),
        (0.25, 250, "250ms"),
        ("1h", 3_600_000, 3600),
        (timedelta(minutes=1), 60_000, 60),
        (1.0, 1_000, 1),
    ],
)
def test_seconds_reads_numbers_as_seconds(value: Any, ms: int, wire: Any) -> None:
    sample = Sample(period=value)
    assert sample.period == ms
    assert sample.model_dump(mode="json")["period"] == wire


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("wait", 5, "must be a duration"),
        ("wait", True, "must be a duration"),
        ("wait", timedelta(seconds=-1), "cannot be negative"),
        ("wait", timedelta(days=3651), "ten years"),
        ("period", True, "must be a number of seconds or a duration"),
        ("period", "60", "is not a duration"),
        ("period", -1, "cannot be negative"),
        ("period", float("nan"), "finite"),
        ("period", float("inf"), "finite"),
        ("period", 1e300, "ten years"),
        ("period", 10**400, "ten years"),
        ("period", [1], "must be a number of seconds or a duration"),
    ],
)
def test_duration_fields_refuse_other_values(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Sample.model_validate({field: value})


def test_null_stands_for_the_default() -> None:
    assert Sample.model_validate({"wait": None, "period": None, "maybe": None}) == Sample()
