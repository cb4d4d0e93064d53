"""Conditions on a JSON document: the syntax tree of `payload_jq`, independent of the engine.

Values are ordered as in jq: null, false, true, numbers, strings, arrays, objects. Strings are
ordered by code points. A path yields null if the value is absent, or if a step does not fit the
type of its value (a key of a number, an index of an object).
"""

import re
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

Step: TypeAlias = str | int
"""A key of an object, or an index of an array. Negative indexes count from the end."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_ .:;@#$%*()+,=!?~^|{}\[\]-]+")

Scalar: TypeAlias = str | int | float | bool | None


class Operator(StrEnum):
    """A comparison of two values."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


class TextMatch(StrEnum):
    """A test of a string for another string."""

    CONTAINS = "contains"
    STARTSWITH = "startswith"
    ENDSWITH = "endswith"


class Path(Struct, frozen=True):
    """The path of a value in the document. An empty path is the whole document."""

    steps: tuple[Step, ...] = ()


class Truthy(Struct, frozen=True):
    """True if the value at `path` is neither null nor false."""

    path: Path


class Compare(Struct, frozen=True):
    """True if the value at `path` compares with `value` so. 64-bit integers compare exactly."""

    path: Path
    operator: Operator
    value: Scalar


class CompareLength(Struct, frozen=True):
    """True if the length of the value at `path` compares with `value` so; false for booleans.

    The length is the number of characters of a string, elements of an array or keys of an object,
    the absolute value of a number, and 0 for null. Booleans have no length.
    """

    path: Path
    operator: Operator
    value: int | float


class MatchText(Struct, frozen=True):
    """True if the value at `path` is a string that contains, starts with or ends with `text`."""

    path: Path
    test: TextMatch
    text: str


class Not(Struct, frozen=True):
    """True if the condition is false."""

    condition: "Condition"


class And(Struct, frozen=True):
    """True if all of two or more conditions are true."""

    conditions: tuple["Condition", ...]


class Or(Struct, frozen=True):
    """True if at least one of two or more conditions is true."""

    conditions: tuple["Condition", ...]


Condition: TypeAlias = Truthy | Compare | CompareLength | MatchText | Not | And | Or


def paths_of(condition: Condition) -> list[Path]:
    """Return the paths that a condition reads."""
    match condition:
        case Not(inner):
            return paths_of(inner)
        case And(parts) | Or(parts):
            return [path for part in parts for path in paths_of(part)]
        case _:
            return [condition.path]


def is_plain(step: Step) -> bool:
    """Return whether a step is an index, or a key that every JSON writer spells in the same way.

    SQLite's JSON paths find only these. SQLite compares a key with the raw text of the document,
    including escapes, and a path cannot contain a quoted quote. Some writers escape `/`, `<`, `>`,
    `&` and `'`.
    """
    return isinstance(step, int) or _PLAIN_KEY.fullmatch(step) is not None
