from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from corvo_client.worker._context import Context
from corvo_client.worker._payload import InvalidPayload, PayloadShape, UnfitJob


class Address(BaseModel):
    street: str
    number: int = 1


class Color(Enum):
    RED = "red"


class Stamped(BaseModel):
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


async def by_name(user_id: int, *, when: datetime, color: Color = Color.RED) -> None: ...
async def by_model(address: Address) -> None: ...
async def by_model_with_context(context: Context, address: Address) -> None: ...
async def with_optional_context(address: Address, context: Context | None = None) -> None: ...
async def nothing() -> None: ...
async def anything(**rest: Any) -> None: ...
async def unannotated(a, b=2): ...  # type: ignore[no-untyped-def]
async def odd_names(schema: int, _x: int, model_config: str) -> None: ...
async def limited(count: Annotated[int, Field(ge=1)]) -> None: ...
async def stamped(stamp: Stamped) -> None: ...
async def defaulted(address: Address = Address(street="Main")) -> None: ...  # noqa: B008
async def two_models(home: Address, work: Address) -> None: ...


@pytest.fixture
def context(make_lease: Any) -> Context:
    return Context(make_lease())


def test_arguments_are_converted_to_the_annotated_types(context: Context) -> None:
    shape = PayloadShape(by_name)
    found = shape.arguments({"user_id": 7, "when": "2026-01-31T08:00:00Z"}, context)
    assert found == {"user_id": 7, "when": datetime(2026, 1, 31, 8, tzinfo=UTC)}


def test_a_single_model_takes_the_whole_payload(context: Context) -> None:
    found = PayloadShape(by_model).arguments({"street": "Main"}, context)
    assert found == {"address": Address(street="Main", number=1)}


def test_the_context_is_passed_and_is_no_part_of_the_payload(context: Context) -> None:
    found = PayloadShape(by_model_with_context).arguments({"street": "Main"}, context)
    assert found == {"address": Address(street="Main"), "context": context}
    found = PayloadShape(with_optional_context).arguments({"street": "Main"}, context)
    assert found["context"] is context


def test_two_models_are_taken_by_name(context: Context) -> None:
    payload = {"home": {"street": "A"}, "work": {"street": "B"}}
    found = PayloadShape(two_models).arguments(payload, context)
    assert found == {"home": Address(street="A"), "work": Address(street="B")}


def test_no_parameters_take_an_empty_payload_only(context: Context) -> None:
    shape = PayloadShape(nothing)
    assert shape.arguments({}, context) == {}
    assert shape.arguments(None, context) == {}
    with pytest.raises(UnfitJob, match="user: Extra inputs are not permitted"):
        shape.arguments({"user": 1}, context)


def test_var_keywords_take_what_is_left(context: Context) -> None:
    shape = PayloadShape(anything)
    assert shape.arguments({"a": 1, "b": [2]}, context) == {"a": 1, "b": [2]}
    assert shape.payload((), {"a": 1, "b": [2]}) == {"a": 1, "b": [2]}


def test_parameters_without_annotation_take_anything(context: Context) -> None:
    assert PayloadShape(unannotated).arguments({"a": {"x": 1}}, context) == {"a": {"x": 1}}


def test_names_that_mean_something_to_pydantic_are_plain_names_here(context: Context) -> None:
    payload = {"schema": 1, "_x": 2, "model_config": "c"}
    shape = PayloadShape(odd_names)
    assert shape.arguments(payload, context) == payload
    assert shape.payload((1, 2, "c"), {}) == payload


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"count": 0}, "count: Input should be greater than or equal to 1"),
        ({"count": "secret"}, "count: Input should be a valid integer"),
        ({}, "count: Field required"),
        ([], "payload: Input should be an object"),
        ({"count": 1, "cuont": 2}, "cuont: Extra inputs are not permitted"),
    ],
)
def test_an_unfit_payload_is_refused_by_field_and_without_its_values(
    payload: Any, message: str, context: Context
) -> None:
    with pytest.raises(UnfitJob) as caught:
        PayloadShape(limited).arguments(payload, context)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unfit_model_is_refused_by_the_path_within_it(context: Context) -> None:
    with pytest.raises(UnfitJob, match=r"^invalid payload: street: Field required$"):
        PayloadShape(by_model).arguments({"number": 2}, context)
    with pytest.raises(UnfitJob, match=r"^invalid payload: payload: Input should be an object$"):
        PayloadShape(by_model).arguments([1], context)


def test_of_many_errors_some_are_named(context: Context) -> None:
    payload = {f"x{number}": 1 for number in range(50)}
    with pytest.raises(UnfitJob, match=r"and 30 more$"):
        PayloadShape(nothing).arguments(payload, context)


def test_a_call_becomes_the_payload_that_leads_to_it(context: Context) -> None:
    shape = PayloadShape(by_name)
    when = datetime(2026, 1, 31, 8, tzinfo=UTC)
    payload = shape.payload((7,), {"when": when, "color": Color.RED})
    assert payload == {"user_id": 7, "when": "2026-01-31T08:00:00Z", "color": "red"}
    assert shape.arguments(payload, context) == {"user_id": 7, "when": when, "color": Color.RED}


def test_what_a_call_leaves_out_is_left_to_the_function() -> None:
    when = datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert "color" not in PayloadShape(by_name).payload((7,), {"when": when})


def test_a_model_is_sent_complete_so_that_its_defaults_are_made_once() -> None:
    stamp = Stamped()
    assert PayloadShape(stamped).payload((stamp,), {}) == {
        "at": stamp.at.isoformat().replace("+00:00", "Z")
    }
    assert PayloadShape(defaulted).payload((), {}) == {"street": "Main", "number": 1}


def test_big_integers_survive(context: Context) -> None:
    big = 2**200
    shape = PayloadShape(limited)
    assert shape.payload((big,), {}) == {"count": big}
    assert shape.arguments({"count": big}, context) == {"count": big}


@pytest.mark.parametrize("bad", [0, "x", float("nan"), None])
def test_a_call_that_the_worker_would_refuse_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidPayload, match="count"):
        PayloadShape(limited).payload((bad,), {})


def test_a_value_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(InvalidPayload):
        PayloadShape(anything).payload((), {"a": object()})


def test_a_call_with_other_parameters_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="missing a required argument"):
        PayloadShape(limited).payload((), {"user": 1})


def test_a_function_that_cannot_be_called_by_name_is_a_type_error() -> None:
    async def by_position(a: int, /) -> None: ...
    async def many(*a: int) -> None: ...

    for function in (by_position, many):
        with pytest.raises(TypeError, match="'a' cannot be passed by name"):
            PayloadShape(function)


def test_an_unknown_annotation_is_explained() -> None:
    async def task(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match="'Nowhere' is not known at module level"):
        PayloadShape(task)


def test_text_that_is_no_text_is_refused(context: Context) -> None:
    with pytest.raises(UnfitJob, match="invalid payload"):
        PayloadShape(anything).arguments({"a": "\ud800"}, context)
