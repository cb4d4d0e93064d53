"""Texts about objects whose own methods fail."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from corvo_client.worker._description import (
    MAX_BACKTRACE_CHARS,
    MAX_ERROR_CHARS,
    cut,
    describe,
    text_of,
)


class Panic(BaseException):
    """Like the panic of a Rust extension: no subclass of Exception."""


def fails_with(error: BaseException) -> Callable[..., Any]:
    def method(*_: object) -> Any:
        raise error

    return method


def recurse(self: object) -> str:
    return str(self)


class Wide(str):
    """A text whose methods return what no text may return."""

    def __str__(self) -> str:
        return self

    def __getitem__(self, _key: object) -> Any:
        raise Panic

    __len__ = __format__ = isascii = encode = __getitem__  # type: ignore[assignment]


class Nameless(type):
    @property
    def __name__(cls) -> Any:  # type: ignore[override]
        raise Panic


class NamelessError(Exception, metaclass=Nameless): ...


HOSTILE_MEMBERS: list[dict[str, Any]] = [
    {"__str__": fails_with(ValueError("no"))},
    {"__str__": fails_with(Panic())},
    {"__str__": fails_with(KeyboardInterrupt())},
    {"__str__": lambda _self: 5},
    {"__str__": lambda _self: Wide("wide")},
    {"__str__": recurse},
    {"__repr__": recurse, "__str__": repr},
    {"__class__": property(fails_with(Panic()))},
    {"__cause__": property(fails_with(Panic()))},
    {"__context__": property(fails_with(SystemExit()))},
    {"__traceback__": property(fails_with(Panic()))},
    {"__notes__": property(fails_with(Panic()))},
    {"__notes__": 5},
    {"__getattribute__": fails_with(Panic())},
    {"__hash__": fails_with(Panic()), "__eq__": fails_with(Panic())},
]


@pytest.mark.parametrize(
    "members", HOSTILE_MEMBERS, ids=[" ".join(members) for members in HOSTILE_MEMBERS]
)
@pytest.mark.parametrize("base", [Exception, BaseException, ValueError])
def test_hostile_errors_are_described(members: dict[str, Any], base: type[BaseException]) -> None:
    error = type("Hostile", (base,), members)("boom")
    described = describe(error)
    assert described.text.startswith("Hostile")
    assert type(described.text) is type(described.backtrace) is str
    assert type(text_of(error)) is str


def test_a_type_without_a_name_is_described() -> None:
    assert describe(NamelessError("boom")).text == "an error whose type has no name: boom"


def test_an_error_that_cannot_be_shown_says_so() -> None:
    error = type("Hostile", (Exception,), {"__str__": lambda _self: 5})()
    described = describe(error)
    assert described.text == "Hostile: its message cannot be shown"
    assert not described.is_whole


def test_plain_errors_are_described_whole() -> None:
    try:
        raise KeyError("ключ\nline")  # noqa: TRY301
    except KeyError as error:
        described = describe(error)
    assert described.text == "KeyError: " + repr("ключ\nline")
    assert "raise KeyError" in described.backtrace
    assert described.is_whole
    assert describe(ValueError()).text == "ValueError"


def test_large_texts_are_cut() -> None:
    described = describe(ValueError("x" * 9_000_000))
    assert described.text.startswith("ValueError: xxx")
    assert described.text.endswith("x… (9,000,012 characters)")
    assert len(described.text) == MAX_ERROR_CHARS
    assert len(described.backtrace) == MAX_BACKTRACE_CHARS
    assert not described.is_whole
    assert len(text_of("y" * 9_000_000)) == MAX_ERROR_CHARS
    assert cut("é" * 10) == "é" * 10


def test_lone_surrogates_become_escapes() -> None:
    described = describe(ValueError("a\ud800b"))
    assert described.text == "ValueError: a\\ud800b"
    assert not described.is_whole
    assert described.backtrace.encode()


def test_deep_chains_and_groups_are_described() -> None:
    error = BaseExceptionGroup("many", [ValueError(str(n)) for n in range(1000)])
    for n in range(sys.getrecursionlimit() * 2):
        error = BaseExceptionGroup(str(n), [error])
    assert describe(error).text.startswith("ExceptionGroup: ")
    chained = ValueError(0)
    for n in range(sys.getrecursionlimit() * 2):
        following = ValueError(n)
        following.__cause__ = chained
        chained = following
    assert describe(chained).text == f"ValueError: {sys.getrecursionlimit() * 2 - 1}"
    chained.__cause__ = chained
    assert "ValueError" in describe(chained).backtrace


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (5, "5"),
        (None, "None"),
        (ValueError("no"), "ValueError: no"),
    ],
)
def test_any_value_becomes_text(value: object, text: str) -> None:
    assert text_of(value) == text


def test_hostile_values_become_text() -> None:
    assert text_of(Wide("wide")) == "wide"
    hostile = type("Hostile", (), {"__str__": fails_with(Panic())})()
    assert text_of(hostile) == "a value that cannot be shown"
