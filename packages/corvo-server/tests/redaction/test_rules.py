"""Rules that mark secret values: what is read, what is refused, and what a path covers."""

import pytest

from corvo_server.redaction.matcher import Matcher
from corvo_server.redaction.rules import Rule, Step, read_rule, split_rules

PATHS = {
    "$": (),
    "$.a.b-c": (Step("a"), Step("b-c")),
    "$.card.*": (Step("card"), Step(None)),
    "$.items[*].token": (Step("items"), Step(None), Step("token")),
    "$.[*]": (Step(None),),
    "$..password": (Step("password", is_deep=True),),
    '$..["a, b"].c': (Step("a, b", is_deep=True), Step("c")),
    '$["x"]["\\u00e9\\""]': (Step("x"), Step('é"')),
    "$.größe": (Step("größe"),),
}

BAD = {
    "": "has no path",
    "card.number": "has no path",
    "payments:card": "has no path",
    "pay ments:$.a": "the pattern of queues 'pay ments'",
    ":$.a": "the pattern of queues ''",
    f"{'*' * 9}:$.a": "at most 8 stars",
    "$.": "character 3: a name is missing at the end",
    "$.a.": "character 5: a name is missing",
    "$..": "character 4: a name is missing",
    "$a": "character 2: write a dot before a name",
    "$..*": "character 4: after .. write a name",
    "$.a..[*]": "character 6: after .. write a name",
    "$.a[0]": 'character 4: only ["name"] and [*]',
    '$["a': "character 2: only",
    "$['a']": "character 2: only",
    "$.a b": "character 4: blanks",
    "$.a?": "character 4: expressions",
    "$.a*": "character 4: write .* or [*]",
    "$.a:b": 'character 4: write names with other characters like $["a:b"]',
    f"$.{'a' * 1023}": "at most 1024 characters",
}


@pytest.mark.parametrize("text", PATHS)
def test_read_rule_returns_the_path(text: str) -> None:
    assert read_rule(text) == Rule(text, PATHS[text])
    assert read_rule(f"a:b.*:{text}") == Rule(f"a:b.*:{text}", PATHS[text], "a:b.*")


@pytest.mark.parametrize("text", BAD)
def test_bad_rule_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_rule(text)
    assert BAD[text] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", []),
        (" , ", []),
        ("$.a", ["$.a"]),
        ("$.a, q.*:$.b ,", ["$.a", "q.*:$.b"]),
        ('$["a,b"],$.c', ['$["a,b"]', "$.c"]),
        ('$["a\\",b"],$.c', ['$["a\\",b"]', "$.c"]),
        ('$["a,$.c', ['$["a,$.c']),
    ],
)
def test_rules_are_separated_by_commas_outside_of_quotes(text: str, rules: list[str]) -> None:
    assert split_rules(text) == rules


@pytest.mark.parametrize(
    ("path", "steps", "is_covered"),
    [
        ("$", (), True),
        ("$", ("a",), True),
        ("$.card.number", ("card",), False),
        ("$.card.number", ("card", "number"), True),
        ("$.card.number", ("card", "number", 0, "x"), True),
        ("$.card.number", ("card", "numbers"), False),
        ("$.card.number", ("card", 0, "number"), False),
        ("$.card.*", ("card",), False),
        ("$.card.*", ("card", "x"), True),
        ("$.card.*", ("card", -1), True),
        ("$.items[*].t", ("items", 5, "t"), True),
        ("$.items[*].t", ("items", "k", "t"), True),
        ("$.items[*].t", ("items", "t"), False),
        ("$..pw", ("a", 3, "pw"), True),
        ("$..pw", ("pw",), True),
        ("$..pw", ("a", "pws"), False),
        ("$..a.b", ("a", "a", "b"), True),
        ("$..a.b", ("a", "c", "b"), False),
    ],
)
def test_matcher_covers_what_is_secret(
    path: str, steps: tuple[str | int, ...], is_covered: bool
) -> None:
    assert Matcher([read_rule("$.other"), read_rule(path)]).covers(steps) is is_covered
