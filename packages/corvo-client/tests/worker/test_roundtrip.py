"""Arguments arrive as they were given, or the enqueue refuses them."""

import dataclasses
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Generator, Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    computed_field,
    model_serializer,
)
from typing_extensions import TypedDict

from corvo_client.worker._context import Context
from corvo_client.worker._payload import InvalidPayload, PayloadShape

CONTEXT: Context = object.__new__(Context)
BERLIN = ZoneInfo("Europe/Berlin")


class Kind(StrEnum):
    CAT = "cat"
    DOG = "dog"


class Level(IntEnum):
    LOW = 1


class Shade(Enum):
    DARK = 1


class Corner(Enum):
    LEFT = (0, 1)


class Point(NamedTuple):
    x: int
    y: float


class Options(TypedDict, total=False):
    depth: int
    names: list[str]


@dataclasses.dataclass
class Size:
    width: int
    unit: Decimal = Decimal(1)


class ByIdentity:
    """An object without an equality of its own."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(
            lambda found: found if isinstance(found, cls) else cls(found),
            core_schema.any_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda x: str(x.value)),
        )


class NoTruth(ByIdentity):
    """Like an array: a comparison has no single truth."""

    def __eq__(self, other: object) -> Any:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


class Row:
    """An object of a database, of which pydantic knows nothing."""


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    at: datetime | None = None
    tags: set[str] = set()


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")
    one: int = Field(alias="One")
    two: int = Field(validation_alias="Two", serialization_alias="2")
    three: int = Field(serialization_alias="drei")
    four: int = Field(validation_alias=AliasChoices("vier", "quatre"))


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int
    detail: Json[dict[str, int]]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.width**2


class Hidden(BaseModel):
    shown: int
    hidden: int = Field(default=0, exclude=True)


class Remembering(BaseModel):
    value: int
    _cache: object = PrivateAttr(default_factory=object)


class Renamed(BaseModel):
    a: int

    @model_serializer
    def write(self) -> dict[str, int]:
        return {"b": self.a}


@dataclasses.dataclass
class Computing:
    width: int
    twice: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.twice = 2 * self.width


def changed(value: Any, **attributes: Any) -> Any:
    vars(value).update(attributes)
    return value


class Tree(BaseModel):
    value: Decimal
    children: list["Tree"] = []


class Numbers(RootModel[list[int]]): ...


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 0


def shape_of(hint: Any) -> PayloadShape:
    def function(value: Any) -> None: ...

    function.__annotations__["value"] = hint
    return PayloadShape(function)


def received(hint: Any, value: Any) -> Any:
    """Enqueue a value for a parameter of type `hint`. Return what the handler gets."""
    shape = shape_of(hint)
    return shape.arguments(shape.payload((value,), {}), CONTEXT)["value"]


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
fixed_zones = st.sampled_from([None, UTC, timezone(timedelta(hours=-5, minutes=-30))])
zones = fixed_zones | st.just(BERLIN)
# Not before 1900, when the offsets of zones had seconds, which ISO 8601 does not have.
moments = st.datetimes(datetime(1900, 1, 1), timezones=zones)  # noqa: DTZ001
trees = st.recursive(
    st.builds(Tree, value=st.decimals(allow_nan=False, allow_infinity=False)),
    lambda inner: st.builds(Tree, value=st.just(Decimal(1)), children=st.lists(inner, max_size=2)),
    max_leaves=4,
)
# A time that a clock change repeats or leaves out equals no time of another zone.
fixed_moments = st.datetimes(datetime(1900, 1, 1), timezones=fixed_zones)  # noqa: DTZ001
dogs = st.builds(Dog, at=st.none() | fixed_moments, tags=st.sets(st.text(max_size=3), max_size=3))
texts = st.text(max_size=6)

LEGITIMATE: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)),
    (int | float, st.integers() | st.floats(allow_nan=False, allow_infinity=False)),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (str, texts),
    (date, st.dates()),
    (datetime, moments),
    (time, st.times()),
    (timedelta, st.timedeltas(timedelta(days=-400), timedelta(days=400))),
    (UUID, st.uuids()),
    (Path, st.sampled_from([Path("a/b"), Path("/x"), Path()])),
    (Kind, st.sampled_from(Kind)),
    (Level, st.sampled_from(Level)),
    (Shade, st.sampled_from(Shade)),
    (IPv4Address, st.ip_addresses(v=4)),
    (Point, st.builds(Point, st.integers(), st.floats(allow_nan=False, allow_infinity=False))),
    (Options, st.fixed_dictionaries({}, optional={"depth": st.integers(), "names": st.just([])})),
    (Size, st.builds(Size, st.integers(), st.just(Decimal("1.50")))),
    (tuple[int, str], st.tuples(st.integers(), texts)),
    (set[date], st.sets(st.dates(), max_size=3)),
    (frozenset[int], st.frozensets(st.integers(), max_size=3)),
    (dict[int, date], st.dictionaries(st.integers(), st.dates(), max_size=3)),
    (defaultdict[str, list[int]], st.just(defaultdict(list, a=[1]))),
    (deque[int], st.just(deque([1, 2]))),
    (Counter[str], st.just(Counter("abba"))),
    (Cat | Dog, st.builds(Cat, lives=st.integers()) | dogs),
    (Annotated[Cat | Dog, Field(discriminator="kind")], st.builds(Cat) | dogs),
    (list[Cat | Dog], st.lists(st.builds(Cat) | dogs, max_size=3)),
    (Tree, trees),
    (Numbers, st.builds(Numbers, st.lists(st.integers()))),
    (Open, st.builds(lambda more: Open(a=1, **more), st.just({"b": [1, {"c": None}]}))),
    (Aliased, st.builds(lambda n: Aliased(One=n, Two=2, three=3, vier=4), st.integers())),
    (list[Aliased], st.just([Aliased(One=1, Two=2, three=3, vier=4)])),
    (Computed, st.builds(lambda n: Computed(width=n, detail='{"a": 1}'), st.integers())),
    (Json[dict[str, int]], st.dictionaries(texts, st.integers(), max_size=2)),
    (Any, json_values),
    (list[Any], st.lists(json_values, max_size=3)),
]


SHAPES = [shape_of(hint) for hint, _ in LEGITIMATE]


@given(st.data(), st.sampled_from(range(len(LEGITIMATE))))
def test_a_value_arrives_as_it_was_given(data: st.DataObject, number: int) -> None:
    hint, values = LEGITIMATE[number]
    value = data.draw(values)
    shape = SHAPES[number]
    found = shape.arguments(shape.payload((value,), {}), CONTEXT)["value"]
    if isinstance(value, datetime) and value.tzinfo is not None:
        # `==` is False for a repeated hour of a clock change in two zones.
        found, value = found.astimezone(UTC), value.astimezone(UTC)
    if hint is not Dog and not isinstance(value, Dog | list):
        assert found == value
    assert type(found) is type(value) or (hint, type(value)) == (float, int)


anything = st.one_of(
    json_values,
    moments,
    st.times(timezones=st.sampled_from([None, UTC, BERLIN])),
    st.decimals().filter(lambda number: not number.is_snan()),  # it cannot even be compared
    st.floats(),
    st.binary(max_size=4),
    st.sets(st.integers(), max_size=3),
    st.tuples(st.integers(), st.dates()),
    st.dictionaries(st.integers() | st.booleans() | st.dates(), st.integers(), min_size=1),
    st.builds(SecretStr, texts),
    st.builds(Size, st.integers()),
    dogs,
    st.just(Hidden(shown=1, hidden=2)),
    st.sampled_from([Kind.CAT, Level.LOW, Shade.DARK, Point(1, 2.0), 1j, Fraction(1, 3), object()]),
)
ALL_SHAPES = [*SHAPES, *map(shape_of, (Hidden, SecretStr, bytes, Any))]


def as_lists(value: Any) -> Any:
    """Return a value with lists for tuples: without an annotation, a tuple is read as a list."""
    return [as_lists(item) for item in value] if isinstance(value, list | tuple) else value


@given(st.sampled_from(range(len(ALL_SHAPES))), anything)
def test_whatever_an_enqueue_accepts_arrives_equal(number: int, value: Any) -> None:
    shape = ALL_SHAPES[number]
    try:
        payload = shape.payload((value,), {})
    except InvalidPayload as error:
        if "value" in str(error):
            return
        raise
    given = shape._validated({"value": value})
    (wanted,) = given.__dict__.values()
    found = shape.arguments(payload, CONTEXT)["value"]
    if isinstance(wanted, datetime) and wanted.tzinfo is not None:
        found, wanted = found.astimezone(UTC), wanted.astimezone(UTC)
    if isinstance(found, list):
        found, wanted = as_lists(found), as_lists(wanted)
    assert found == wanted or (found != found and wanted != wanted)  # noqa: PLR0124 - NaN


class Login(BaseModel):
    user: str
    password: SecretStr


@dataclasses.dataclass
class Uncompared:
    token: SecretStr = dataclasses.field(compare=False)


@pytest.mark.parametrize(
    ("hint", "value", "place"),
    [
        (SecretStr, SecretStr("hunter2"), "value"),
        (SecretBytes, SecretBytes(b"hunter2"), "value"),
        (Login, Login(user="ada", password=SecretStr("hunter2")), "value.password"),
        (list[Login], [Login(user="ada", password=SecretStr("hunter2"))], "value.0.password"),
        (dict[str, SecretStr], {"key": SecretStr("hunter2")}, "value.key"),
        (Uncompared, Uncompared(SecretStr("hunter2")), "value.token"),
        (SecretStr | None, SecretStr("hunter2"), "value"),
        (set[SecretStr], {SecretStr("hunter2")}, "value"),
        (dict[SecretStr, int], {SecretStr("hunter2"): 1}, "value"),
        (deque[SecretStr], deque([SecretStr("hunter2")]), "value.0"),
        (Login, {"user": "ada", "password": "hunter2"}, "value.password"),
    ],
)
def test_a_secret_is_refused_and_its_place_is_named(hint: Any, value: Any, place: str) -> None:
    with pytest.raises(InvalidPayload, match=f"^invalid payload: {place}: a secret is masked"):
        shape_of(hint).payload((value,), {})


def test_a_secret_number_is_refused() -> None:
    with pytest.raises(InvalidPayload, match=r"^invalid payload: value: "):
        shape_of(Secret[int]).payload((Secret(7),), {})


def test_a_secret_that_the_application_writes_in_full_is_accepted() -> None:
    written = PlainSerializer(lambda secret: secret.get_secret_value(), when_used="json")
    assert received(Annotated[SecretStr, written], SecretStr("x")).get_secret_value() == "x"


class Sub(Cat):
    color: str = "red"


@pytest.mark.parametrize(
    ("hint", "value", "place"),
    [
        (Any, datetime(2026, 1, 1, tzinfo=UTC), "value"),
        (Any, {1: "a"}, "value"),
        (Any, {"a": [{1, 2}]}, "value.a.0"),
        (Any, Decimal("0.1"), "value"),
        (Any, Size(1), "value"),
        (Any, Cat(), "value"),
        (Any, b"x", "value"),
        (Any, Point(1, 2), "value"),
        (Any, Shade.DARK, "value"),
        (Any, Kind.CAT, "value"),
        (Any, [Level.LOW], "value.0"),
        (Any, {Kind.CAT: 1}, "value"),
        (Kind | str, Kind.CAT, "value"),
        (int | Level, Level.LOW, "value"),
        (set[Kind | str], {Kind.CAT}, "value"),
        (deque[Kind | str], deque([Kind.CAT]), "value.0"),
        (dict[Kind | str, int], {Kind.CAT: 1}, "value"),
        (Point | tuple[int, int], (1, 2), "value"),
        (float, 2**53 + 1, "value"),
        (list[float], [1, 2**60 + 1], "value.1"),
        (dict[str, float | None], {"a": Decimal("0.1000000000000000000000001")}, "value.a"),
        (Base64Bytes, b"\xff\xfe", "value"),
        (Base64Bytes, b"test", "value"),
        (list[Base64Bytes], [b"test"], "value.0"),
        (Computing, changed(Computing(3), twice=5), "value.twice"),
        (Cat, Cat.model_construct(lives="many"), "value.lives"),
        (Renamed, Renamed(a=1), "value.a"),
        (Iterable[int], ["one"], "value.0"),
        (Corner, Corner.LEFT, "value"),
        (Cat, Sub(), "value"),
        (Hidden, Hidden(shown=1, hidden=2), "value.hidden"),
        (re.Pattern, re.compile("x", re.IGNORECASE), "value"),
        (time, time(8, tzinfo=BERLIN), "value"),
        (float | None, float("nan"), "value"),
        (Annotated[int, PlainSerializer(lambda n: n // 2)], 7, "value"),
        (Annotated[ByIdentity, PlainSerializer(lambda _: "other")], ByIdentity("mine"), "value"),
    ],
)
def test_a_value_that_changes_on_its_way_is_refused(hint: Any, value: Any, place: str) -> None:
    with pytest.raises(InvalidPayload, match=rf"^invalid payload: {place}[.:]"):
        shape_of(hint).payload((value,), {})


@pytest.mark.parametrize("value", [b"\xff", "\ud800", object(), float("nan"), float("inf"), 1j])
def test_a_value_that_cannot_be_written_is_refused_by_name(value: Any) -> None:
    def function(fine: int, odd: Any, **rest: Any) -> None: ...

    shape = PayloadShape(function)
    with pytest.raises(InvalidPayload, match=r"^invalid payload: odd: "):
        shape.payload((1, value), {})
    with pytest.raises(InvalidPayload, match=r"^invalid payload: more: "):
        shape.payload((1, 2), {"more": value})


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)),
        (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)),
        (ByIdentity, ByIdentity("text")),
        (NoTruth, NoTruth("text")),
        (Remembering, Remembering(value=1)),
        (Hidden, Hidden(shown=1)),
        (SecretStr, SecretStr("")),
        (list[int], (1, 2)),
        (list[int], {1, 2}),
        (Any, (1, [2])),
        (Any, OrderedDict(a=1)),
        (str, Kind.CAT),
        (int, Level.LOW),
        (float, 2**53),
        (float, Decimal("0.1")),
        (Decimal, 0.1),
        (Computing, Computing(3)),
        (list[Computing | Cat], [Computing(3), Cat()]),
    ],
)
def test_a_value_without_a_plain_equality_is_accepted(hint: Any, value: Any) -> None:
    shape_of(hint).payload((value,), {})


def test_members_that_reference_each_other_are_compared_once() -> None:
    value = ByIdentity("text")
    value.me = value  # type: ignore[attr-defined]

    class Circle(ByIdentity):
        def __init__(self, value: Any) -> None:
            super().__init__(value)
            self.me = self

    assert received(Circle, Circle("text")).value == "text"


def numbers() -> Generator[int]:
    yield from (1, 2)


@pytest.mark.parametrize("hint", [Iterable[int], Generator[int, None, None], list[int], Any])
@pytest.mark.parametrize("make", [numbers, lambda: iter([1, 2]), lambda: [1, 2]])
def test_an_iterator_arrives_with_its_items(hint: Any, make: Callable[[], Any]) -> None:
    assert list(received(hint, make())) == [1, 2]


@pytest.mark.parametrize("hint", [Iterable[int], Iterable[int] | None])
def test_an_iterable_can_be_read_twice(hint: Any) -> None:
    found = received(hint, [1, 2])
    assert (list(found), list(found)) == ([1, 2], [1, 2])


def test_a_model_carries_bytes_that_are_no_text() -> None:
    class File(BaseModel, ser_json_bytes="base64", val_json_bytes="base64"):
        data: bytes

    assert received(File, File(data=b"\xff\x00test")) == File(data=b"\xff\x00test")


def test_what_cannot_be_sent_is_refused_with_advice() -> None:
    with pytest.raises(TypeError, match=r"parameter 'value' cannot .*; pass plain data, such as "):
        shape_of(Fraction | set[ByIdentity] | Row)
    with pytest.raises(InvalidPayload, match=r"^invalid payload: value: .*; annotate the param"):
        shape_of(Any).payload((object(),), {})
    with pytest.raises(InvalidPayload, match=r"^invalid payload: value\.a: .*; .* serializers"):
        shape_of(Renamed).payload((Renamed(a=1),), {})


def test_an_iterator_of_secrets_is_refused() -> None:
    with pytest.raises(InvalidPayload, match=r"value\.0: a secret"):
        shape_of(Iterable[SecretStr]).payload((iter([SecretStr("x")]),), {})


def test_names_of_models_are_those_that_other_programs_use() -> None:
    class Plain(BaseModel):
        from_: str = Field(alias="from")

    shape = shape_of(Plain)
    assert shape.payload((Plain(**{"from": "x"}),), {}) == {"from": "x"}
    assert shape.payload(({"from": "x"},), {}) == {"from": "x"}
    written = shape_of(Aliased).payload((Aliased(One=1, Two=2, three=3, vier=4),), {})
    assert written == {"one": 1, "two": 2, "three": 3, "four": 4}
    by_alias = {"One": 1, "Two": 2, "three": 3, "quatre": 4}
    assert shape_of(Aliased).arguments(by_alias, CONTEXT)["value"].four == 4
