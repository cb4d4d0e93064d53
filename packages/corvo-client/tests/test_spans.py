"""Spans of JSON: they agree with a parser for every document, and change no byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvo_client._spans import is_object, items, members

texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)
indents = st.none() | st.integers(0, 3)


@given(document=st.dictionaries(texts, values), indent=indents, ascii_only=st.booleans())
def test_members_are_those_of_a_parser(
    document: dict[str, Any], indent: int | None, *, ascii_only: bool
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    found = {name: json.loads(text[start:end]) for name, (start, end) in members(text)}
    assert found == document
    assert is_object(f" {text}", 0)


@given(document=st.lists(values), indent=indents)
def test_items_are_those_of_a_parser(document: list[Any], indent: int | None) -> None:
    text = json.dumps(document, indent=indent)
    assert [json.loads(text[start:end]) for start, end in items(text)] == document


def test_other_values_have_no_children() -> None:
    assert not [*members("[1]"), *items('{"a":1}'), *members("null"), *items("7")]
    assert not is_object("[{}]")


def test_long_numbers_are_no_problem() -> None:
    text = '{"a":%s,"b":1e999}' % ("9" * 5000)
    assert [text[start:end][:5] for _, (start, end) in members(text)] == ["99999", "1e999"]


@pytest.mark.parametrize("text", ['{"a" 1', "{1:2}", '{"a":1 "b":2}', '{"a":', "{"])
def test_text_that_is_not_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(members(text))
