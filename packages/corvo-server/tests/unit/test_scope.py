"""Scopes: patterns of queue names against a matcher that tries everything."""

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from corvo_server.auth.scope import Scope

NAMES = st.text("ab.", max_size=8)
GLOBS = st.text("ab.*?", min_size=1, max_size=6)


def matches(glob: str, name: str) -> bool:
    @cache
    def at(g: int, n: int) -> bool:
        if g == len(glob):
            return n == len(name)
        if glob[g] == "*":
            return at(g + 1, n) or (n < len(name) and at(g, n + 1))
        return n < len(name) and glob[g] in ("?", name[n]) and at(g + 1, n + 1)

    return at(0, 0)


@given(st.lists(GLOBS, min_size=1, max_size=4), st.lists(NAMES, max_size=10))
def test_scope_has_the_names_that_one_of_its_patterns_matches(
    globs: list[str], names: list[str]
) -> None:
    scope = Scope(globs)
    expected = {name: any(matches(glob, name) for glob in globs) for name in names}
    for _ in range(2):  # the second time from what it keeps
        assert {name: name in scope for name in names} == expected
    assert scope.outside(names) == [name for name in names if not expected[name]]


def test_scope_is_no_regular_expression() -> None:
    scope = Scope(["a.b", "x:y/z"])
    assert "a.b" in scope
    assert "x:y/z" in scope
    assert [name for name in ("aXb", "a.b\n", "A.B", "a.bc", "") if name in scope] == []


def test_scope_forgets_names_and_stays_right() -> None:
    scope = Scope(["1*"])
    for number in range(3000):
        assert (str(number) in scope) == str(number).startswith("1")
    assert len(scope._known) <= 1024


def test_scopes_are_equal_by_their_patterns() -> None:
    assert Scope(["a", "b"]) == Scope(["a", "b"]) != Scope(["a"])
    assert len({Scope(["a"]), Scope(["a"]), Scope(["b"])}) == 2
    assert repr(Scope(["a", "b.*"])) == "Scope(a, b.*)"
