"""Timestamps: format, zones, milliseconds."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from corvo_schema import Timestamp, format_ms, from_ms, parse_timestamp, to_ms

FIRST_MS = to_ms(datetime(1, 1, 1, tzinfo=UTC))
LAST_MS = to_ms(datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC))


class Sample(BaseModel):
    model_config = ConfigDict(strict=True)

    at: Timestamp = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.5z", 500),
        ("1970-01-01 00:00:01+00:00", 1_000),
        ("1970-01-01T02:00:00.123+02:00", 123),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-01-31T08:00:00.123456789Z", 1_769_846_400_123),
    ],
)
def test_parse_timestamp_reads_rfc_3339(text: str, ms: int) -> None:
    moment = parse_timestamp(text)
    assert to_ms(moment) == ms
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-01-31T08:00:00", "has no time zone"),
        ("2026-01-31", "is not an RFC 3339 timestamp"),
        ("20260131T080000Z", "is not an RFC 3339 timestamp"),
        ("1769846400", "is not an RFC 3339 timestamp"),
        ("tomorrow", "is not an RFC 3339 timestamp"),
        ("2026-01-31T08:00:00Z\n", "is not an RFC 3339 timestamp"),
        ("2026-02-30T08:00:00Z", "not an existing date and time"),
        ("2026-01-31T25:00:00Z", "not an existing date and time"),
        ("0001-01-01T00:00:00+01:00", "not an existing date and time"),
        ("9999-12-31T23:59:59-01:00", "not an existing date and time"),
    ],
)
def test_parse_timestamp_refuses_other_formats(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_timestamp(text)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (datetime(2026, 1, 31), "has no time zone"),  # noqa: DTZ001
        ("2026-01-31T08:00:00", "has no time zone"),
        (1_769_846_400, "must be an RFC 3339 timestamp"),
        (True, "must be an RFC 3339 timestamp"),
    ],
)
def test_timestamp_field_refuses_other_values(value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Sample(at=value)


def test_timestamp_field_converts_to_utc_milliseconds() -> None:
    local = datetime(2026, 1, 31, 10, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
    sample = Sample(at=local)
    assert sample.at == datetime(2026, 1, 31, 8, 0, 0, 123_000, tzinfo=UTC)
    assert sample.model_dump_json() == '{"at":"2026-01-31T08:00:00.123Z"}'


def test_null_stands_for_the_default() -> None:
    assert Sample.model_validate({"at": None}) == Sample()


def test_to_ms_refuses_a_naive_datetime() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        to_ms(datetime(2026, 1, 31))  # noqa: DTZ001


@given(st.integers(min_value=FIRST_MS, max_value=LAST_MS))
def test_timestamp_survives_the_round_trip(ms: int) -> None:
    text = format_ms(ms)
    assert to_ms(parse_timestamp(text)) == ms
    assert to_ms(from_ms(ms)) == ms
    assert Sample.model_validate_json(Sample(at=from_ms(ms)).model_dump_json()).at == from_ms(ms)
    assert len(text) == len("2026-01-31T08:00:00.000Z")
