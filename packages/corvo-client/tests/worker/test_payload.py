from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Required, Unpack

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict

from corvo_client.worker._context import Context
from corvo_client.worker._payload import InvalidJobPayload, InvalidPayload, PayloadShape


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


def test_a_single_model_gets_the_whole_payload(context: Context) -> None:
    found = PayloadShape(by_model).arguments({"street": "Main"}, context)
    assert found == {"address": Address(street="Main", number=1)}


def test_the_context_is_passed_and_not_part_of_the_payload(context: Context) -> None:
    found = PayloadShape(by_model_with_context).arguments({"street": "Main"}, context)
    assert found == {"address": Address(street="Main"), "context": context}
    found = PayloadShape(with_optional_context).arguments({"street": "Main"}, context)
    assert found["context"] is context


def test_two_models_are_passed_by_name(context: Context) -> None:
    payload = {"home": {"street": "A"}, "work": {"street": "B"}}
    found = PayloadShape(two_models).arguments(payload, context)
    assert found == {"home": Address(street="A"), "work": Address(street="B")}


def test_a_function_without_parameters_accepts_only_an_empty_payload(context: Context) -> None:
    shape = PayloadShape(nothing)
    assert shape.arguments({}, context) == {}
    assert shape.arguments(None, context) == {}
    with pytest.raises(InvalidJobPayload, match="user: Extra inputs are not permitted"):
        shape.arguments({"user": 1}, context)


def test_var_keywords_get_the_other_members(context: Context) -> None:
    shape = PayloadShape(anything)
    assert shape.arguments({"a": 1, "b": [2]}, context) == {"a": 1, "b": [2]}
    assert shape.payload((), {"a": 1, "b": [2]}) == {"a": 1, "b": [2]}


class Extras(TypedDict, total=False):
    color: Required[Color]
    copies: int


async def moments(**rest: datetime) -> None: ...
async def extras(number: int, **rest: Unpack[Extras]) -> None: ...


def test_var_keywords_have_the_types_of_their_annotation(context: Context) -> None:
    shape = PayloadShape(moments)
    now = datetime.now(UTC)
    payload = shape.payload((), {"at": now, "self": now})
    assert shape.arguments(from_json(to_json(payload)), context) == {"at": now, "self": now}
    with pytest.raises(InvalidPayload, match=r"^invalid payload: at: Input should be a valid date"):
        shape.payload((), {"at": "soon"})
    shape = PayloadShape(extras)
    assert shape.payload((1,), {"color": Color.RED}) == {"number": 1, "color": "red"}
    assert shape.arguments({"number": 1, "color": "red"}, context)["color"] is Color.RED
    for wrong in ({"color": Color.RED, "more": 1}, {"copies": 1}, {"color": "red", "copies": "x"}):
        with pytest.raises(InvalidPayload, match=r"more|color|copies"):
            shape.payload((1,), wrong)


def test_parameters_without_annotation_accept_any_value(context: Context) -> None:
    assert PayloadShape(unannotated).arguments({"a": {"x": 1}}, context) == {"a": {"x": 1}}


def test_names_reserved_by_pydantic_are_allowed(context: Context) -> None:
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
def test_the_error_of_an_invalid_payload_has_fields_and_no_values(
    payload: Any, message: str, context: Context
) -> None:
    with pytest.raises(InvalidJobPayload) as caught:
        PayloadShape(limited).arguments(payload, context)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_error_of_an_invalid_model_has_the_path_within_it(context: Context) -> None:
    with pytest.raises(
        InvalidJobPayload, match=r"^invalid payload: street: Field required; either the"
    ):
        PayloadShape(by_model).arguments({"number": 2}, context)
    with pytest.raises(
        InvalidJobPayload, match=r"^invalid payload: payload: Input should be an object;"
    ):
        PayloadShape(by_model).arguments([1], context)


def test_the_number_of_errors_in_a_message_is_limited(context: Context) -> None:
    payload = {f"x{number}": 1 for number in range(50)}
    with pytest.raises(InvalidJobPayload, match=r"; and 30 more; either the payload is wrong"):
        PayloadShape(nothing).arguments(payload, context)


def test_a_call_becomes_a_payload_with_the_same_arguments(context: Context) -> None:
    shape = PayloadShape(by_name)
    when = datetime(2026, 1, 31, 8, tzinfo=UTC)
    payload = shape.payload((7,), {"when": when, "color": Color.RED})
    assert payload == {"user_id": 7, "when": "2026-01-31T08:00:00Z", "color": "red"}
    assert shape.arguments(payload, context) == {"user_id": 7, "when": when, "color": Color.RED}


def test_missing_arguments_are_not_sent() -> None:
    when = datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert "color" not in PayloadShape(by_name).payload((7,), {"when": when})


def test_a_model_is_sent_with_its_defaults() -> None:
    stamp = Stamped()
    assert PayloadShape(stamped).payload((stamp,), {}) == {
        "at": stamp.at.isoformat().replace("+00:00", "Z")
    }
    assert PayloadShape(defaulted).payload((), {}) == {"street": "Main", "number": 1}


def test_big_integers_are_exact(context: Context) -> None:
    big = 2**200
    shape = PayloadShape(limited)
    assert shape.payload((big,), {}) == {"count": big}
    assert shape.arguments({"count": big}, context) == {"count": big}


@pytest.mark.parametrize("bad", [0, "x", float("nan"), None])
def test_a_call_that_the_worker_would_reject_is_rejected(bad: Any) -> None:
    with pytest.raises(InvalidPayload, match="count"):
        PayloadShape(limited).payload((bad,), {})


def test_a_value_that_is_not_json_is_rejected() -> None:
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


def test_lone_surrogates_are_rejected(context: Context) -> None:
    with pytest.raises(InvalidJobPayload, match="invalid payload"):
        PayloadShape(anything).arguments({"a": "\ud800"}, context)


class Parcel(BaseModel):
    to: str = "nobody"
    note: str | None = None


class Letter(BaseModel):
    to: str
    letter: str = ""


class Bag(BaseModel):
    model_config = ConfigDict(extra="allow")
    size: int = 1


class Items(RootModel[dict[str, Any]]): ...


async def parcel_alone(parcel: Parcel) -> None: ...
async def parcel_and_more(parcel: Parcel, urgent: bool = False) -> None: ...
async def letter_alone(letter: Letter) -> None: ...
async def letter_and_more(letter: Letter, urgent: bool = False) -> None: ...
async def bag_alone(bag: Bag) -> None: ...
async def items_alone(items: Items) -> None: ...
async def items_and_more(items: Items, limit: int = 1) -> None: ...
async def parcel_or_none(parcel: Parcel | None = None) -> None: ...
async def parcel_or_letter(parcel: Parcel | Letter) -> None: ...
async def annotated_parcel(parcel: Annotated[Parcel, Field(description="to send")]) -> None: ...
async def parcel_and_any(parcel: Parcel, **rest: Any) -> None: ...
async def limit_first(limit: int = 1, parcel: Parcel | None = None) -> None: ...
async def parcel_or_text(parcel: Parcel | str) -> None: ...
async def defaulted_and_more(parcel: Parcel = Parcel(), limit: int = 1) -> None: ...  # noqa: B008


ADA = Parcel(to="ada")
POST = Letter(to="ada", letter="dear")


@pytest.mark.parametrize(
    ("function", "payload", "arguments"),
    [
        # A parameter was added: jobs of the release before.
        (parcel_and_more, {"to": "ada", "note": None}, {"parcel": ADA}),
        (parcel_and_more, {}, {"parcel": Parcel()}),
        (letter_and_more, {"to": "ada", "letter": "dear"}, {"letter": POST}),
        (items_and_more, {"a": 1}, {"items": Items({"a": 1})}),
        (defaulted_and_more, {"to": "ada"}, {"parcel": ADA}),
        # The parameter took more types, or a name of any kind: jobs of the release before.
        (parcel_or_none, {"to": "ada"}, {"parcel": ADA}),
        (parcel_or_letter, {"to": "ada", "note": None}, {"parcel": ADA}),
        (parcel_or_letter, {"to": "ada", "letter": "dear"}, {"parcel": POST}),
        (annotated_parcel, {"to": "ada"}, {"parcel": ADA}),
        (parcel_and_any, {"to": "ada"}, {"parcel": ADA}),
        (limit_first, {"to": "ada"}, {"parcel": ADA}),
        # The same: jobs of this release.
        (parcel_or_none, {}, {}),
        (parcel_or_none, {"parcel": None}, {"parcel": None}),
        (parcel_or_letter, {"parcel": {"to": "ada", "letter": "dear"}}, {"parcel": POST}),
        (parcel_and_any, {"parcel": {}, "to": "bo"}, {"parcel": Parcel(), "to": "bo"}),
        (limit_first, {"limit": 2}, {"limit": 2}),
        # A parameter was added: jobs of this release.
        (parcel_and_more, {"parcel": {"to": "ada"}}, {"parcel": ADA}),
        (parcel_and_more, {"parcel": {}, "urgent": True}, {"parcel": Parcel(), "urgent": True}),
        (letter_and_more, {"letter": {"to": "ada", "letter": "dear"}}, {"letter": POST}),
        (defaulted_and_more, {"limit": 3}, {"limit": 3}),
        (defaulted_and_more, {}, {}),
        # A parameter was removed, or the job is from a newer release.
        (parcel_alone, {"parcel": {"to": "ada"}}, {"parcel": ADA}),
        (letter_alone, {"letter": {"to": "ada", "letter": "dear"}}, {"letter": POST}),
        (bag_alone, {"bag": {"size": 2}}, {"bag": Bag(size=2)}),
        # One model as before, also if it accepts any name.
        (parcel_alone, {"to": "ada", "other": 1}, {"parcel": ADA}),
        (parcel_alone, {"to": "ada", "parcel": {"other": 1}}, {"parcel": ADA}),
        (letter_alone, {"to": "ada", "letter": "dear"}, {"letter": POST}),
        (bag_alone, {"size": 2, "bag": {"a": 1}}, {"bag": Bag(size=2, bag={"a": 1})}),  # type: ignore[call-arg]
        (items_alone, {"items": {"a": 1}}, {"items": Items({"items": {"a": 1}})}),
    ],
)
def test_jobs_of_both_releases_fit_while_a_signature_changes(
    function: Any, payload: Any, arguments: dict[str, Any], context: Context
) -> None:
    assert PayloadShape(function).arguments(payload, context) == arguments


@pytest.mark.parametrize(
    ("function", "payload", "named"),
    [
        (parcel_alone, {"parcel": {"to": "ada"}, "urgent": True}, "urgent"),
        (parcel_alone, {"parcel": {"to": 1}}, "parcel.to"),
        (letter_alone, {"letter": {"to": "ada"}, "urgent": True}, "to"),
        (parcel_and_more, {"parcel": {"to": 1}, "urgent": True}, "parcel.to"),
        (parcel_and_more, {"urgnt": True}, "parcel: Field required; urgnt"),
        (parcel_and_more, {"to": 1}, "to"),
        (parcel_or_none, {"urgent": True}, "urgent"),
        (parcel_or_text, {"to": "ada"}, "parcel: Field required; to"),
        (by_name, {"user_id": 1, "when": "2026-01-31T08:00:00Z", "more": 1}, "more"),
    ],
)
def test_what_fits_neither_release_is_refused_and_not_cut(
    function: Any, payload: Any, named: str, context: Context
) -> None:
    with pytest.raises(InvalidJobPayload, match=rf"^invalid payload: {named}: .*; either the"):
        PayloadShape(function).arguments(payload, context)


def test_an_argument_that_a_worker_would_take_for_another_shape_is_refused() -> None:
    class Free(BaseModel, extra="allow"): ...

    def free_alone(free: Free) -> None: ...

    assert PayloadShape(free_alone).payload((Free(a=1),), {}) == {"a": 1}  # type: ignore[call-arg]
    with pytest.raises(InvalidPayload, match=r"^invalid payload: free\.free: "):
        PayloadShape(free_alone).payload((Free(free={"a": 1}),), {})  # type: ignore[call-arg]
