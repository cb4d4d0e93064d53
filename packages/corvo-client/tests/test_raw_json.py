"""`RawJson`: JSON text as a payload."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvo_client import RawJson
from corvo_client._codec import encode
from corvo_schema import AckRequest, EnqueueRequest

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=5,
)


@given(json_values, st.sampled_from([None, 2]))
def test_body_around_raw_text_is_valid(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    body = encode(EnqueueRequest(queue="q", payload=RawJson(text)), job_id="x")
    assert json.loads(body) == {"job_id": "x", "queue": "q", "payload": value}
    assert text.encode() in body


def test_raw_text_may_be_the_only_member() -> None:
    assert encode(AckRequest(result=RawJson("[1.0]"))) == b'{"result":[1.0]}'


def test_number_may_be_longer_than_python_reads() -> None:
    assert RawJson("9" * 10_000).body == b"9" * 10_000


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", "'a'", "[1,]", '"\ud800"'])
def test_text_that_is_not_json_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        RawJson(text)


def test_deep_nesting_is_rejected() -> None:
    for levels in (191, 500, 100_000):
        with pytest.raises(ValueError, match="at most 190 levels"):
            RawJson("[" * levels + "]" * levels)
    assert RawJson("[" * 190 + "]" * 190).body


def test_repr_shows_the_text() -> None:
    assert repr(RawJson("[1]")) == "RawJson('[1]')"
