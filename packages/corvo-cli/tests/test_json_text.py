"""Splitting and indenting JSON text changes no token."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvo_cli.json_text import indented, items, members, one_line

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
layouts = st.sampled_from([{"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}, {}])


@given(st.lists(values), layouts)
def test_items_returns_the_elements(value: list[Any], layout: dict[str, Any]) -> None:
    texts = items(json.dumps(value, **layout))
    assert [json.loads(text) for text in texts] == value
    assert not any("\n" in text for text in texts)


@given(st.dictionaries(st.text(), values), layouts)
def test_members_returns_the_values_by_name(value: dict[str, Any], layout: dict[str, Any]) -> None:
    texts = members(json.dumps(value, **layout))
    assert {name: json.loads(text) for name, text in texts.items()} == value
    assert list(texts) == list(value)


@given(values, layouts)
def test_indented_matches_json_dumps(value: Any, layout: dict[str, Any]) -> None:
    text = indented(json.dumps(value, **layout))
    assert json.loads(text) == value
    assert text == json.dumps(value, indent=2, ensure_ascii=layout.get("ensure_ascii", True))


def test_notation_is_unchanged() -> None:
    text = '{"b":1.10, "a" : 1E+2,"é":"\\u00e9\\/", "n":123456789012345678901234567890}'
    assert members(text) == {
        "b": "1.10",
        "a": "1E+2",
        "é": '"\\u00e9\\/"',
        "n": "123456789012345678901234567890",
    }
    assert re.sub(r"\s", "", indented(text)) == re.sub(r"\s", "", text)


def test_one_line_has_no_line_breaks() -> None:
    assert one_line('{\n"a":\r\n1}\n') == '{ "a":  1}'


@pytest.mark.parametrize("text", ["[]", "{}", " [ ] ", "{ }"])
def test_empty_documents_have_no_children(text: str) -> None:
    assert items(text) == []
    assert members(text) == {}
    assert indented(text) in {"[]", "{}"}


def test_deeply_nested_documents_are_accepted() -> None:
    deep = "[" * 50_000 + "]" * 50_000
    assert items(f"[{deep},1]") == [deep, "1"]
