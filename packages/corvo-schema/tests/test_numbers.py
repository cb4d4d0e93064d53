"""Any number in any field of a request is accepted, or refused as invalid."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import corvo_schema
from corvo_schema import MAX_DURATION_MS, EnqueueRequest, Seconds, Timestamp, to_ms
from corvo_schema._base import RequestModel
from corvo_schema.errors import details_of

EDGES = [
    *(1e308, -1e308, 1.7976931348623157e308, 5e-324, -0.0, 0.5, 1e22, 1e300, float(2**63)),
    *(2**31, 2**53, 2**63, 2**64, 10**309, -(10**309), 10**4000),
]
NUMBERS = st.sampled_from(EDGES) | st.integers() | st.floats()


def models(base: type[RequestModel] = RequestModel) -> Iterator[type[RequestModel]]:
    """Yield all request models."""
    for model in base.__subclasses__():
        if model.__module__.startswith(f"{corvo_schema.__name__}."):
            yield model
        yield from models(model)


FIELDS = sorted(
    {
        (model, alias or name)
        for model in models()
        for name, alias in ((name, field.alias) for name, field in model.model_fields.items())
    },
    key=lambda item: (item[0].__name__, item[1]),
)


@pytest.mark.parametrize(
    ("model", "field"), FIELDS, ids=[f"{model.__name__}.{name}" for model, name in FIELDS]
)
@given(number=NUMBERS)
def test_any_number_is_accepted_or_refused(
    model: type[RequestModel], field: str, number: float
) -> None:
    with suppress(ValidationError):
        json.dumps(model.model_validate({field: number}).model_dump(mode="json"))


@given(number=NUMBERS)
def test_refused_number_is_named_as_its_field(number: float) -> None:
    body = {"queue": "q", "delay": number}
    if -0.0001 < number < MAX_DURATION_MS / 1000:
        delay = EnqueueRequest.model_validate(body).delay
        assert delay is not None
        assert abs(delay - number * 1000) <= 0.5
    elif not -0.001 < number < MAX_DURATION_MS / 1000 + 0.001:
        with pytest.raises(ValidationError) as caught:
            EnqueueRequest.model_validate(body)
        assert [detail.field for detail in details_of(caught.value)] == ["delay"]


@pytest.mark.parametrize("seconds", [1e308, -1e308, 10**400, float("inf"), float("nan")])
def test_seconds_beyond_all_bounds_are_refused(seconds: float) -> None:
    with pytest.raises(ValidationError, match=r"finite|longer than ten years|negative"):
        TypeAdapter[int](Seconds).validate_python(seconds)


FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moment=st.datetimes(timezones=ZONES))
@example(moment=datetime.min.replace(tzinfo=timezone(timedelta(hours=14))))
@example(moment=datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))))
def test_any_datetime_is_accepted_or_refused(moment: datetime) -> None:
    adapter: TypeAdapter[datetime] = TypeAdapter(Timestamp)
    if not to_ms(FIRST) <= to_ms(moment) <= to_ms(LAST):
        with pytest.raises(ValidationError, match="between the years 1 and 9999"):
            adapter.validate_python(moment)
        return
    read = adapter.validate_python(moment)
    assert read.tzinfo is UTC
    assert to_ms(read) == to_ms(moment)
    assert adapter.validate_python(adapter.dump_python(read, mode="json")) == read
