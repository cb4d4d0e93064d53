"""A second implementation of payload_jq: evaluator, printer, and Hypothesis strategies."""

import json
import operator
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from corvo_server.store.search.conditions import (
    And,
    Compare,
    CompareLength,
    Condition,
    MatchText,
    Not,
    Operator,
    Or,
    Path,
    Scalar,
    TextMatch,
    Truthy,
)

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMPARISONS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQ: operator.eq,
    Operator.NE: operator.ne,
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
}

# The evaluator


def holds(condition: Condition, document: Any) -> bool:
    """Return whether a document matches a condition."""
    match condition:
        case Not(inner):
            return not holds(inner, document)
        case And(parts):
            return all(holds(part, document) for part in parts)
        case Or(parts):
            return any(holds(part, document) for part in parts)
        case _:
            return _test(condition, _find(document, condition.path))


def _test(test: Truthy | Compare | CompareLength | MatchText, found: Any) -> bool:
    match test:
        case Truthy():
            return found is not None and found is not False
        case Compare():
            return _COMPARISONS[test.operator](_rank(found), _rank(test.value))
        case CompareLength():
            length = _length(found)
            return length is not None and _COMPARISONS[test.operator](length, _stored(test.value))
        case MatchText(_, TextMatch.CONTAINS, text):
            return isinstance(found, str) and text in found
        case MatchText(_, TextMatch.STARTSWITH, text):
            return isinstance(found, str) and found.startswith(text)
        case MatchText(_, _, text):
            return isinstance(found, str) and found.endswith(text)


def _find(document: Any, path: Path) -> Any:
    for step in path.steps:
        if isinstance(step, str):
            document = document.get(step) if isinstance(document, dict) else None
        elif isinstance(document, list) and -len(document) <= step < len(document):
            document = document[step]
        else:
            document = None
    return document


def _rank(value: Any) -> tuple[int, Any]:
    """Return the rank of a value in jq's order. Two arrays or objects are never compared."""
    match value:
        case None:
            return 0, 0
        case bool():
            return 1 + value, 0
        case int() | float():
            return 3, _stored(value)
        case str():
            return 4, value
        case list():
            return 5, 0
        case _:
            return 6, 0


def _stored(number: int | float) -> int | float:
    """Return a number as the engines store it: integers beyond 64 bits become floats."""
    return number if -(2**63) <= number < 2**63 else float(number)


def _length(value: Any) -> int | float | None:
    match value:
        case None:
            return 0
        case bool():
            return None
        case int() | float():
            return abs(_stored(value))
        case _:
            return len(value)


# The printer


def write(condition: Condition) -> str:  # noqa: PLR0911 - a table
    """Return a condition as a jq expression."""
    match condition:
        case Truthy(path):
            return _path(path)
        case Compare(path, sign, value):
            return f"{_path(path)} {sign} {_scalar(value)}"
        case CompareLength(path, sign, value):
            return f"({_path(path)} | length) {sign} {value!r}"
        case MatchText(path, test, text):
            return f"({_path(path)} | {test}({_scalar(text)}))"
        case Not(inner):
            return f"({write(inner)} | not)"
        case And(parts):
            return f"({' and '.join(map(write, parts))})"
        case Or(parts):
            return f"({' or '.join(map(write, parts))})"


def _path(path: Path) -> str:
    text = ""
    for step in path.steps:
        if isinstance(step, str) and _FIELD.fullmatch(step):
            text += f".{step}"
        else:
            text += f"{'' if text else '.'}[{json.dumps(step)}]"
    return text or "."


def _scalar(value: Scalar) -> str:
    # jq writes floats like Python, and all other values like JSON.
    return repr(value) if isinstance(value, float) else json.dumps(value)


# Strategies

_ODD_KEYS = ("", "a b", 'q"uote', "back\\slash", "é", "日本", "a.b", "$", "[0]", "a/b", "<x>", "\n")

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
keys = st.sampled_from(("a", "b", "c", *_ODD_KEYS)) | texts
integers = st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1)
floats = st.integers(-1000, 1000).map(lambda eighths: eighths / 8)
huge = st.sampled_from((2**63, -(2**63) - 1, 2**64, 10**30, -(10**30), 10**300))
scalars = st.none() | st.booleans() | integers | floats | texts
documents = st.recursive(
    scalars | huge,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)

paths = st.lists(keys | st.integers(-3, 3), max_size=3).map(lambda steps: Path(tuple(steps)))
_signs = st.sampled_from(Operator)


def conditions_on(places: st.SearchStrategy[Path]) -> st.SearchStrategy[Condition]:
    """Return a strategy for conditions on the values at `places`."""
    tests = (
        st.builds(Truthy, places)
        | st.builds(Compare, places, _signs, scalars | huge)
        | st.builds(CompareLength, places, _signs, st.integers(-2, 6) | floats)
        | st.builds(MatchText, places, st.sampled_from(TextMatch), texts)
    )
    return st.recursive(tests, _combine, max_leaves=6)


def _combine(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    negatable = inner.filter(lambda condition: not isinstance(condition, Not))
    return st.builds(Not, negatable) | st.builds(And, several) | st.builds(Or, several)


conditions = conditions_on(paths)


def paths_in(document: Any, at: tuple[str | int, ...] = ()) -> list[Path]:
    """Return the paths of all values in a document."""
    found = [Path(at)]
    if isinstance(document, dict):
        for key, value in document.items():
            found += paths_in(value, (*at, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            found += paths_in(value, (*at, index))
    return found
