"""Masking: no secret value is left, and everything else is left as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvo_server.redaction.hidden import MARK, Hidden
from corvo_server.redaction.matcher import Matcher
from corvo_server.redaction.payloads import mask_payload
from corvo_server.redaction.rules import Rule, Step, read_rule, split_rules

NAMES = ("a", "b", "card", "é", 'q"', "")


def matcher(rules: str) -> Matcher:
    return Matcher([read_rule(rule) for rule in split_rules(rules)])


@pytest.mark.parametrize(
    ("rules", "payload", "masked"),
    [
        ("$", ' {"a": 1} ', ' "[redacted]" '),
        ("$", "7", '"[redacted]"'),
        ("$.a", '{"a": null, "b": {"a": 1}}', '{"a": "[redacted]", "b": {"a": 1}}'),
        ("$.a", '{"a":1,"a":[2,{"x":3}],"b":4}', '{"a":"[redacted]","a":"[redacted]","b":4}'),
        ("$.a", '{"\\u0061" : "x"}', '{"\\u0061" : "[redacted]"}'),
        ("$.a.b", '{"a":[{"b":1}]}', '{"a":[{"b":1}]}'),
        ("$.a[*].b", '{"a":[{"b":1},[],{},{"b":[]}]}', None),
        ("$.a.*", '{"a":{"x":{},"y":[]},"z":{"x":1}}', None),
        ("$.a.*", '{"a":[1,[2]]}', '{"a":["[redacted]","[redacted]"]}'),
        (
            "$..p",
            '[[{"p":{"p":1}}],{"q":{"p":2}}]',
            '[[{"p":"[redacted]"}],{"q":{"p":"[redacted]"}}]',
        ),
        ("$.p", '{"n": 123456789012345678901234567890.10, "p": 1e400}', None),
        (
            "$.a,$.b",
            '{"b":"}","a":"\\\\\\"{","c":"["}',
            '{"b":"[redacted]","a":"[redacted]","c":"["}',
        ),
        ("$.missing", '{"a": "missing", "b": []}', '{"a": "missing", "b": []}'),
    ],
)
def test_mask_payload(rules: str, payload: str, masked: str | None) -> None:
    expected = {
        "$.a[*].b": '{"a":[{"b":"[redacted]"},[],{},{"b":"[redacted]"}]}',
        "$.a.*": '{"a":{"x":"[redacted]","y":"[redacted]"},"z":{"x":1}}',
        "$.p": '{"n": 123456789012345678901234567890.10, "p": "[redacted]"}',
    }
    assert mask_payload(payload, matcher(rules)).text == (masked or expected[rules])


def test_deep_nesting_is_masked() -> None:
    deep = "[" * 50_000 + '{"p":' + "[" * 50_000 + '"secret"' + "]" * 50_000 + "}" + "]" * 50_000
    text, hidden = mask_payload(deep, matcher("$..p"))
    assert text == "[" * 50_000 + '{"p":"[redacted]"}' + "]" * 50_000
    assert hidden.text("a secret!") == "a [redacted]!"


def test_names_within_a_secret_value_are_secret_unless_they_are_plain_words() -> None:
    _, hidden = mask_payload('{"a":{"number":1,"4111":{"x y":[]}}}', matcher("$.a"))
    assert hidden.text("number 4111, x y") == "number [redacted], [redacted]"


def test_many_escapes_are_read() -> None:
    text, _ = mask_payload('{"p":"' + "\\\\" * 200_000 + '"}', matcher("$.p"))
    assert text == '{"p":"[redacted]"}'


# Property: compare with a masking of the parsed payload

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=12,
)
steps = st.builds(Step, st.sampled_from(NAMES)) | st.builds(Step, st.none())
deep_steps = st.builds(Step, st.sampled_from(NAMES), is_deep=st.just(True))
paths = st.lists(steps | deep_steps, min_size=1, max_size=3).map(tuple)


@given(
    payload=values,
    marked=st.lists(paths, min_size=1, max_size=3),
    is_ascii=st.booleans(),
    indent=st.none() | st.integers(0, 2),
)
def test_exactly_the_marked_values_are_masked(
    payload: Any, marked: list[tuple[Step, ...]], is_ascii: bool, indent: int | None
) -> None:
    text = json.dumps(payload, ensure_ascii=is_ascii, indent=indent)
    masked = mask_payload(text, Matcher([Rule("$", path) for path in marked])).text
    expected = plainly_masked(payload, marked)
    # Byte for byte: what is left is written as before, so it equals the masked value written anew.
    assert masked == json.dumps(expected, ensure_ascii=is_ascii, indent=indent)


def plainly_masked(value: Any, marked: list[tuple[Step, ...]]) -> Any:
    """Mask a parsed value, by following each path on its own."""
    if () in marked:
        return MARK
    if isinstance(value, dict):
        return {name: plainly_masked(v, rest_of(marked, name)) for name, v in value.items()}
    if isinstance(value, list):
        return [plainly_masked(v, rest_of(marked, None)) for v in value]
    return value


def rest_of(marked: list[tuple[Step, ...]], name: str | None) -> list[tuple[Step, ...]]:
    rest = []
    for first, *others in marked:
        if first.is_deep:
            rest.append((first, *others))
        if first.name is None or first.name == name:
            rest.append(tuple(others))
    return rest


# Occurrences of the values in texts

secret_texts = st.text("xyz0189-_\\\"'é\n", min_size=3, max_size=8)
around = st.text("abc ,:{}'\"\\é", max_size=5)


@given(secrets=st.lists(secret_texts, min_size=1, max_size=4), data=st.data())
def test_no_value_is_left_in_a_text(secrets: list[str], data: st.DataObject) -> None:
    pieces = [
        data.draw(st.sampled_from([raw, repr(raw), json.dumps(raw), ascii(raw)]))
        + data.draw(around)
        for raw in secrets
    ]
    text = data.draw(around) + "".join(pieces)
    masked = Hidden(map(json.dumps, secrets)).text(text)
    assert not [raw for raw in secrets if raw in masked]


@given(secrets=st.lists(secret_texts, min_size=1, max_size=4), document=values, data=st.data())
def test_no_value_is_left_in_a_document(
    secrets: list[str], document: Any, data: st.DataObject
) -> None:
    kept = [document, {"t": "".join(secrets), secrets[0]: [secrets[-1], 5]}]
    text = json.dumps(kept, ensure_ascii=data.draw(st.booleans()))
    masked = Hidden(map(json.dumps, secrets)).document(text)
    assert masked is not None
    _, rest = json.loads(masked)
    left = [*rest, rest["t"], *(str(value[0]) for value in rest.values())]
    assert not [raw for raw in secrets for text in left if raw in text]


@pytest.mark.parametrize(
    ("tokens", "text", "masked"),
    [
        (['"4111"'], "card 4111 and x4111y", f"card {MARK} and x{MARK}y"),
        (['"abcd"', '"cdef"'], "abcdef abcd", f"{MARK} {MARK}"),
        (
            ['"7"', "42"],
            "expected 7, got 42 of 1970 and 742",
            f"expected {MARK}, got {MARK} of 1970 and 742",
        ),
        (["4111.0"], "4111.0 and 4111", f"{MARK} and {MARK}"),
        (["1e400"], "inf 1e400", f"inf {MARK}"),
        (['"a\\nb"'], "a\nb 'a\\nb'", f"{MARK} '{MARK}'"),
        (['""', '" "', "null", "true"], " true null ", " true null "),
        ([f'"v{n}"' for n in range(101)], "anything", MARK),
    ],
)
def test_text_is_masked(tokens: list[str], text: str, masked: str) -> None:
    assert Hidden(tokens).text(text) == masked


@pytest.mark.parametrize(
    ("tokens", "document", "masked"),
    [
        (
            ["4111"],
            '{"a": 4111, "b":[4111.0, 41.11e2, 4112]}',
            '{"a": "[redacted]", "b":["[redacted]", "[redacted]", 4112]}',
        ),
        (
            ['"4111"'],
            '{"4111": "x4111" , "y":4111}',
            '{"[redacted]": "x[redacted]" , "y":"[redacted]"}',
        ),
        (['"abc"'], '["\\u0061bc", "é"]', '["[redacted]", "é"]'),
        (
            ["1"],
            '{"n":1e99999999999999999999,"m":1}',
            '{"n":1e99999999999999999999,"m":"[redacted]"}',
        ),
        (["true"], "[true]", "[true]"),
    ],
)
def test_document_is_masked(tokens: list[str], document: str, masked: str) -> None:
    assert Hidden(tokens).document(document) == masked
