"""The limit of nesting."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from corvo_schema.nesting import MAX_NESTING, is_too_deep


def nested(levels: int, inner: str = "1") -> bytes:
    """Return JSON with so many levels, arrays and objects in turn."""
    begin = "".join("[" if n % 2 else '{"[": ' for n in range(levels))
    end = "".join("]" if n % 2 else "}" for n in reversed(range(levels)))
    return (begin + inner + end).encode()


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


TEXTS = st.text(st.sampled_from('[]{}"\\n é'), max_size=8)
DOCUMENTS = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=60,
)


@given(document=DOCUMENTS, limit=st.integers(0, 8), is_ascii=st.booleans())
def test_levels_are_counted_outside_of_strings(document: Any, limit: int, is_ascii: bool) -> None:
    text = json.dumps(document, ensure_ascii=is_ascii).encode()
    assert is_too_deep(text, limit) is (depth(document) > limit)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (nested(MAX_NESTING), False),
        (nested(MAX_NESTING + 1), True),
        (nested(1000), True),
        (b"[" * 190 + b"]" * 190, False),
        (b"[" * 191 + b"]" * 191, True),
        (b"[" + b"[]," * 9999 + b"[]]", False),
        (json.dumps("[" * 5000).encode(), False),
        (json.dumps(["[" * 300, '"[\\' * 300]).encode(), False),
        (json.dumps(['\\" [' * 300]).encode(), False),
    ],
)
def test_documents_at_the_limit(text: bytes, expected: bool) -> None:
    assert is_too_deep(text) is expected


def test_the_parsers_read_documents_of_the_limit() -> None:
    text = nested(MAX_NESTING)
    for _ in range(10):  # objects around it
        assert from_json(to_json(from_json(text))) == json.loads(text)
        text = b'{"k": %b}' % text
