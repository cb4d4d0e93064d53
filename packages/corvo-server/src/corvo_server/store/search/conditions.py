"""Conditions on a JSON document: the tree that `payload_jq` is read into, whatever evaluates it.

Values order as in jq: null (also what is absent), false, true, numbers, strings, arrays, objects;
strings by their characters' code points. A step of a path that does not fit what stands there (a
key of a number, an index of an object) finds nothing, which is null.
"""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

Step: TypeAlias = str | int
"""A key of an object, or an index of an array; negative ones count from its end."""

Scalar: TypeAlias = str | int | float | bool | None


class Operator(StrEnum):
    """How two values are compared."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


class TextMatch(StrEnum):
    """How a string is tested for another."""

    CONTAINS = "contains"
    STARTSWITH = "startswith"
    ENDSWITH = "endswith"


class Path(Struct, frozen=True):
    """A place in the document; no steps mean the whole of it."""

    steps: tuple[Step, ...] = ()


class Truthy(Struct, frozen=True):
    """What stands there is neither null nor false."""

    path: Path


class Compare(Struct, frozen=True):
    """What stands there compares so with a value. Numbers compare exactly within 64 bits."""

    path: Path
    operator: Operator
    value: Scalar


class CompareLength(Struct, frozen=True):
    """The length of what stands there compares so with a number.

    Characters of a string, elements of an array, keys of an object; 0 for null, the absolute value
    of a number. A boolean has none: the condition is false then.
    """

    path: Path
    operator: Operator
    value: int | float


class MatchText(Struct, frozen=True):
    """A string stands there, and it contains, starts with or ends with `text`."""

    path: Path
    test: TextMatch
    text: str


class Not(Struct, frozen=True):
    """The condition does not hold."""

    condition: "Condition"


class And(Struct, frozen=True):
    """All of two or more conditions hold."""

    conditions: tuple["Condition", ...]


class Or(Struct, frozen=True):
    """One of two or more conditions holds."""

    conditions: tuple["Condition", ...]


Condition: TypeAlias = Truthy | Compare | CompareLength | MatchText | Not | And | Or
