"""payload_jq: how expressions are parsed, which are refused, and which documents they match."""

import json
import sqlite3
from typing import Any

import pytest

from corvo_server.store.search import jq
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
    TextMatch,
    Truthy,
)
from corvo_server.store.search.filters import JobFilter, where
from corvo_server.store.sqlite.dialect import SqliteDialect


def is_one(*steps: str | int) -> Compare:
    return Compare(Path(steps), Operator.EQ, 1)


READ: dict[str, Condition] = {
    ".": Truthy(Path()),
    ".a": Truthy(Path(("a",))),
    " .a\n.b ": Truthy(Path(("a", "b"))),
    ".a?.b?": Truthy(Path(("a", "b"))),
    '.["a"]': Truthy(Path(("a",))),
    '."a b"."c"': Truthy(Path(("a b", "c"))),
    '.a.["b"].[0]': Truthy(Path(("a", "b", 0))),
    '.a.b[0]["x y"]': Truthy(Path(("a", "b", 0, "x y"))),
    ".[-1]": Truthy(Path((-1,))),
    ".and.or.not.true": Truthy(Path(("and", "or", "not", "true"))),
    '.["\\"\\\\\\u00e9"]': Truthy(Path(('"\\é',))),
    ".a == 1": is_one("a"),
    "1 == .a": is_one("a"),
    "((.a)) == (1)": is_one("a"),
    "1 < .a": Compare(Path(("a",)), Operator.GT, 1),
    "1 >= .a": Compare(Path(("a",)), Operator.LE, 1),
    '.a != "x\\n%_"': Compare(Path(("a",)), Operator.NE, "x\n%_"),
    '.a == "😀 \\ud83d\\ude00"': Compare(Path(("a",)), Operator.EQ, "😀 😀"),
    ".a <= -1.5e3": Compare(Path(("a",)), Operator.LE, -1500.0),
    ".a > .5": Compare(Path(("a",)), Operator.GT, 0.5),
    ".a == true": Compare(Path(("a",)), Operator.EQ, True),
    ".a == null": Compare(Path(("a",)), Operator.EQ, None),
    f".a == {10**40}": Compare(Path(("a",)), Operator.EQ, 10**40),
    ".a == 1e999": Compare(Path(("a",)), Operator.EQ, float("inf")),
    ".a == 1 and .b == 1 and .c == 1": And((is_one("a"), is_one("b"), is_one("c"))),
    ".a == 1 or .b == 1 and .c == 1": Or((is_one("a"), And((is_one("b"), is_one("c"))))),
    "(.a == 1 or .b == 1) and .c": And((Or((is_one("a"), is_one("b"))), Truthy(Path(("c",))))),
    "not (.a == 1)": Not(is_one("a")),
    ".a == 1 | not": Not(is_one("a")),
    ".a | not": Not(Truthy(Path(("a",)))),
    "not": Not(Truthy(Path())),
    "not (not (.a == 1))": is_one("a"),
    ".a == 1 and .b == 1 | not": Not(And((is_one("a"), is_one("b")))),
    "(.a == 1) == false": Not(is_one("a")),
    "true != (.a == 1)": Not(is_one("a")),
    ".a | .b == 1": is_one("a", "b"),
    ".a | .b | .c == 1": is_one("a", "b", "c"),
    ".a | . == 1": is_one("a"),
    ".a | (.b == 1 and .c == 1)": And((is_one("a", "b"), is_one("a", "c"))),
    ".a | .b == 1 and .c == 1": And((is_one("a", "b"), is_one("a", "c"))),
    ".a | length > 2": CompareLength(Path(("a",)), Operator.GT, 2),
    "2 < (.a | length)": CompareLength(Path(("a",)), Operator.GT, 2),
    '.a | contains("x")': MatchText(Path(("a",)), TextMatch.CONTAINS, "x"),
    '.a | startswith("")': MatchText(Path(("a",)), TextMatch.STARTSWITH, ""),
    'endswith("x")': MatchText(Path(), TextMatch.ENDSWITH, "x"),
    '(.a | contains("x") | not) and .b': And(
        (Not(MatchText(Path(("a",)), TextMatch.CONTAINS, "x")), Truthy(Path(("b",))))
    ),
}

REFUSED: dict[str, tuple[int, str]] = {
    "": (1, "it ends here, expected a path"),
    "  ": (3, "it ends here, expected a path"),
    ".a ==": (6, "it ends here, expected a path like .a, a value or `(`"),
    ".a and": (7, "it ends here, expected a path"),
    "(.a": (4, "it ends here, expected `)`"),
    ".a)": (3, "found `)`, expected the end"),
    ".a .b = 1": (7, "compare with =="),
    ".a == 'x'": (7, "write strings in double quotes"),
    '.a == "x': (7, "the string that begins here has no end"),
    r'.a == "\q"': (7, "the string that begins here has no end, or an escape"),
    '.a == "\\(.b)"': (7, "the string that begins here has no end, or an escape"),
    ".a && .b": (4, "write `and`"),
    ".a || .b": (5, "found `|`, expected a path"),
    ".a == 1 == 2": (9, "found `==`, expected `and` or `or` or `|`"),
    ".a 1": (4, "found `1`, expected a comparison or `and` or `or` or `|`"),
    ".a not": (4, "found `not`, expected a comparison"),
    ".a == .b": (7, "expected a string, a number, true, false or null"),
    "1 == 1": (1, "one side of a comparison must be a path"),
    ".a[]": (4, "iterating with [] is not supported"),
    ".a[1.5]": (4, "an index is a whole number below 2^31"),
    ".a[99999999999]": (4, "an index is a whole number below 2^31"),
    ".a[": (4, "it ends here, expected a string in double quotes or a number"),
    "..": (2, "found `.`, expected a comparison"),
    ".a.5": (4, "found `5`, expected `[` or a string in double quotes"),
    "a == 1": (1, "a is not supported: use contains"),
    '.a | test("x")': (6, "test (regular expressions) is not supported: use contains"),
    ".a | map(.b)": (6, "map is not supported: use contains"),
    "select(.a)": (1, "write the condition itself, without select(…)"),
    ".a | contains": (6, 'contains needs a string: write contains("text")'),
    ".a | contains(1)": (15, "contains takes a string in double quotes"),
    ".a | contains(.b)": (15, "contains takes a string in double quotes"),
    ".a | length": (1, "length alone is no condition"),
    ".a | length(1) == 1": (13, "length takes no argument"),
    '.a | length == "x"': (16, "a length is compared with a number"),
    ".a | length == true": (16, "a length is compared with a number"),
    ".a and 1": (8, "a value alone is no condition"),
    "true": (1, "a value alone is no condition"),
    "1 | .a": (1, "only a path or a condition can stand before `|`"),
    ".a == 1 | .b": (11, "what comes before `|` is true or false: only `not` can follow"),
    "(.a == 1) == 1": (1, "a condition can only be == or != true or false"),
    "(.a == 1) < true": (1, "a condition can only be == or != true or false"),
    ".a + 1 == 2": (4, "arithmetic is not supported"),
    ".user-id == 1": (6, 'write a key with a dash like .["a-b"]'),
    "$x": (1, "variables are not supported"),
    "[.a]": (1, "arrays are not supported"),
    "{a: 1}": (1, "objects are not supported"),
    ".a, .b": (3, "more than one result is not supported"),
    '.a == "\\u0000"': (7, "no NUL and no lone surrogate"),
    '.a == "\\ud800"': (7, "no NUL and no lone surrogate"),
    ".é == 1": (2, "found `é`"),
    "(" * 40 + ".a" + ")" * 40: (33, "nested too deeply: at most 32 levels"),
    " and ".join([".a == 1"] * 101): (1201, "too long: at most 100 comparisons and tests"),
    '.["é"]' * 61: (1, "a path has at most 60 keys that are empty or that JSON may escape"),
    '.["é"]' * 40 + " | " + '.["/"]' * 21 + " == 1": (244, "a path has at most 60 keys"),
    ".a" * 2049: (4097, "too long: at most 4096 characters"),
}


@pytest.mark.parametrize("expression", READ)
def test_an_expression_is_parsed_as_in_jq(expression: str) -> None:
    assert jq.parse(expression) == READ[expression]


@pytest.mark.parametrize("expression", REFUSED, ids=lambda text: text[:30])
def test_a_syntax_error_is_refused_at_its_position(expression: str) -> None:
    position, reason = REFUSED[expression]
    with pytest.raises(jq.JqError) as refused:
        jq.parse(expression)
    assert refused.value.position == position
    assert reason in refused.value.reason
    assert str(refused.value) == f"at character {position}: {refused.value.reason}"


def test_values_keep_their_type() -> None:
    for literal, value in {"1": 1, "1.0": 1.0, "true": True}.items():
        condition = jq.parse(f".a == {literal}")
        assert isinstance(condition, Compare)
        assert type(condition.value) is type(value)


def test_long_chains_and_many_negations_are_supported() -> None:
    assert jq.parse(".a" + " | not" * 600) == Truthy(Path(("a",)))
    assert matches(" or ".join(f".a == {n}" for n in range(100)), {"a": 99})
    assert matches(".a" * 2000, {"a": 1}) is False
    assert matches('.["é"]' * jq.MAX_ODD_KEYS, {"é": 1}) is False


def matches(expression: str, document: Any, *, text: str | None = None) -> bool:
    """Return whether the expression matches a document, given as a value or as JSON `text`."""
    condition = where(JobFilter(payload=jq.parse(expression)), SqliteDialect())
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE jobs (payload TEXT)")
    connection.execute("INSERT INTO jobs VALUES (?)", (text or json.dumps(document),))
    statement = f"SELECT count(*) FROM jobs WHERE {condition.text}"  # noqa: S608 - what is tested
    (found,) = connection.execute(statement, condition.values).fetchone()
    connection.close()
    return bool(found)


DOCUMENT = {
    "text": "Straße 50%_\"'\\",
    "number": 3,
    "float": 0.1,
    "big": 2**70,
    "limit": -(2**63),
    "yes": True,
    "no": False,
    "nothing": None,
    "list": [1, "two", [3]],
    "object": {"a": {"b c": 1}, "0": "zero", "": "empty", 'q"': [10, 20], "é/": {"x": 5}},
}


@pytest.mark.parametrize(
    "expression",
    [
        '.text == "Straße 50%_\\"\'\\\\"',
        '.text | contains("%_") and startswith("Straße") and endswith("\'\\\\")',
        '.text | contains("")',
        '.text | endswith("")',
        ".text | length == 14",
        ".number == 3 and .number == 3.0 and .number < 4 and .number >= 3 and .number != 2",
        ".float == 0.1",
        ".float == 1e-1",
        f".big == {2**70}",
        f".big > {2**63 - 1}",
        f".big < 1e999 and .big < {10**400} and .big > -{10**400}",
        f".limit == {-(2**63)}",
        f".limit | length == {2**63}",
        ".yes == true and .yes and .no == false and (.no | not)",
        ".nothing == null and .missing == null and .number.deeper == null and .list.x == null",
        ".missing | length == 0",
        '.list[0] == 1 and .list[-2] == "two" and .list[2][0] == 3 and .list[9] == null',
        ".list | length == 3",
        ".object | length == 5",
        '.object.a["b c"] == 1',
        '.object["0"] == "zero" and .object[0] == null',
        '.object[""] == "empty"',
        '.object["q\\""][1] == 20 and .object["q\\""][-1] == 20',
        '.object["q\\""] | length == 2',
        '.object["é/"].x == 5 and .object["é/"].y == null and .object["é/"].x.z == null',
        '.object["q\\""]["é"] == null and .["é"]["é"] == null',
        # Types order as null, false, true, numbers, strings, arrays, objects.
        '.nothing < false and .no < true and .yes < 0 and .number < "" and .text < "z"',
        '.list > "zzz" and .object > "zzz" and .object > 1e300 and .missing < -1e300',
        ".missing <= null and .no <= false and .yes >= true and (.yes > true | not)",
        '(.number < "3") and (.text > 3)',
        # Where jq would stop with an error, a test is false.
        '.number | contains("3") | not',
        '.list | contains("two") | not',
        "(.yes | length) == 0 | not",
        "(.yes | length) != 0 | not",
    ],
)
def test_an_expression_matches_the_document(expression: str) -> None:
    assert matches(expression, DOCUMENT)
    assert not matches(f"{expression} | not", DOCUMENT)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ('.["é"] == "ü"', '{"\\u00e9": "\\u00fc"}'),
        ('.["a/b"] == "c/d"', '{"a\\/b": "c\\/d"}'),
        ('.["a<b"] == 1', '{"a\\u003cb": 1}'),
        ('.["\\n"] | length == 1', '{"\\n": [0]}'),
        (". == 5", "5"),
        ('. == "x"', '"x"'),
        (".[1] == 2", " [1, 2] "),
    ],
)
def test_escapes_in_the_document_do_not_matter(expression: str, text: str) -> None:
    assert matches(expression, None, text=text)


def test_a_document_that_sqlite_cannot_read_does_not_stop_the_search() -> None:
    assert matches(".a", None, text="[" * 3000 + "]" * 3000) is False
    assert matches(".a | not", None, text="[" * 3000 + "]" * 3000) is False
