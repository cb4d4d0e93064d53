"""Parser of `payload_jq`: a safe subset of jq for conditions on a JSON document.

An expression means what it means within jq's `select(…)`: a job matches unless the result is null
or false. Two rules differ from jq. Where jq stops with an error, a path yields null and a test is
false, so that one job cannot fail a search. `not (…)` may also precede its operand.
"""

from functools import cache
from importlib.resources import files
from json import loads
from typing import Any, TypeAlias

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken
from msgspec import Struct

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
    Step,
    TextMatch,
    Truthy,
    is_plain,
)

MAX_LENGTH = 4096
"""Largest number of characters of an expression."""
MAX_DEPTH = 32
"""Largest depth of nested parentheses and arguments."""
MAX_TESTS = 100
"""Largest number of comparisons and tests in an expression."""
MAX_ODD_KEYS = 60
"""Largest number of keys in a path that are not plain. SQLite joins at most 64 tables."""


class JqError(ValueError):
    """Raised for an invalid expression. `position` is that of the wrong character, from 1."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"at character {position}: {reason}")
        self.position = position
        self.reason = reason


class _Length(Struct, frozen=True):
    path: Path


class _Literal(Struct, frozen=True):
    value: Scalar


_Value: TypeAlias = Path | _Length | _Literal | Condition
_Node: TypeAlias = Tree[Token]

_MIRRORED = {
    Operator.LT: Operator.GT,
    Operator.LE: Operator.GE,
    Operator.GT: Operator.LT,
    Operator.GE: Operator.LE,
}
_HINTS = {
    "=": "compare with ==",
    "'": "write strings in double quotes",
    '"': "the string that begins here has no end, or an escape that is invalid in JSON",
    "&": "write `and`",
    "$": "variables are not supported",
    ",": "more than one result is not supported",
    "@": "formats are not supported",
    "{": "objects are not supported",
    "+": "arithmetic is not supported",
    "-": 'arithmetic is not supported; write a key with a dash like .["a-b"]',
    "*": "arithmetic is not supported",
    "/": "arithmetic and // are not supported",
    "]": "iterating with [] is not supported: write an index or a key in double quotes before ]",
    "[": "arrays are not supported: begin a path with a dot, like .[0]",
}
_OPERATORS = {"COMPARE": "a comparison", "AND": "`and`", "OR": "`or`", "VBAR": "`|`", "RPAR": "`)`"}
_OTHERS = {
    "LSQB": "`[`",
    "RSQB": "`]`",
    "STRING": "a string in double quotes",
    "NUMBER": "a number",
}


def parse(text: str) -> Condition:
    """Parse an expression. Raises `JqError` with the position of the error and what is expected."""
    if len(text) > MAX_LENGTH:
        raise JqError(MAX_LENGTH + 1, f"too long: at most {MAX_LENGTH} characters")
    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        if error.token.type == "$END":
            raise JqError(len(text) + 1, f"it ends here, {_expected(error.accepts)}") from None
        hint = _HINTS.get(error.token) or f"found `{error.token}`, {_expected(error.accepts)}"
        raise _error(error.token, hint) from None
    except UnexpectedCharacters as error:
        hint = _HINTS.get(error.char) or f"found `{error.char}`, {_expected(error.allowed)}"
        offset: Any = error.pos_in_stream
        raise JqError(offset + 1, hint) from None
    root = _tree(tree.children[0])
    reader = _Reader()
    return reader.condition(root, reader.read(root, Path()))


@cache
def _parser() -> Lark:
    grammar = files(__package__).joinpath("jq.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _expected(terminals: set[str]) -> str:
    """Describe what may follow. After a complete path, leave out the steps that could extend it."""
    if "NAME" in terminals:
        return "expected a path like .a, a value or `(`"
    words = _OPERATORS if terminals & _OPERATORS.keys() else _OTHERS
    return "expected " + (
        " or ".join(words[name] for name in words if name in terminals) or "the end"
    )


class _Reader:
    """Turns the parse tree of one expression into a condition."""

    def __init__(self) -> None:
        self._depth = 0
        self._tests = 0

    def condition(self, node: _Node, value: _Value) -> Condition:
        """Return `value`, which `node` evaluates to, as a condition. Raises `JqError`."""
        match value:
            case Path():
                return Truthy(value)
            case _Literal():
                raise _error(node, "a value alone is no condition: compare a path with it")
            case _Length():
                raise _error(node, "length alone is no condition: compare it with a number")
            case _:
                return value

    def read(self, node: _Node, at: Path | Condition) -> _Value:
        """Return the value of `node` where `.` is `at`. Raises `JqError`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _error(node, f"nested too deeply: at most {MAX_DEPTH} levels")
        try:
            return self._read(node, at)
        finally:
            self._depth -= 1

    def _read(self, node: _Node, at: Path | Condition) -> _Value:  # noqa: PLR0911 - a table
        match node.data:
            case "path" | "root":
                return _read_path(node, at)
            case "literal":
                return _Literal(_read_scalar(_token(node.children[0])))
            case "group":
                return self.read(_tree(node.children[0]), at)
            case "call":
                return self._call(node, at)
            case "comparison":
                return self._compare(node, at)
            case "pipe":
                return self._pipe(node, at)
            case kind:
                parts = tuple(self._part(_tree(child), at) for child in node.children)
                return And(parts) if kind == "conjunction" else Or(parts)

    def _part(self, node: _Node, at: Path | Condition) -> Condition:
        return self.condition(node, self.read(node, at))

    def _pipe(self, node: _Node, at: Path | Condition) -> _Value:
        *before, last = map(_tree, node.children)
        for child in before:
            value = self.read(child, at)
            if isinstance(value, _Literal | _Length):
                raise _error(child, "only a path or a condition can stand before `|`")
            at = value
        return self.read(last, at)

    def _compare(self, node: _Node, at: Path | Condition) -> Condition:
        left_node, sign, right_node = node.children
        left, right = self.read(_tree(left_node), at), self.read(_tree(right_node), at)
        operator = Operator(_token(sign))
        if isinstance(left, _Literal):
            left, right = right, left
            operator = _MIRRORED.get(operator, operator)
        if isinstance(left, _Literal):
            raise _error(node, "one side of a comparison must be a path")
        if not isinstance(right, _Literal):
            raise _error(right_node, "expected a string, a number, true, false or null")
        self._count(node)
        value = right.value
        match left:
            case Path():
                return Compare(left, operator, value)
            case _Length():
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise _error(right_node, "a length is compared with a number")
                return CompareLength(left.path, operator, value)
        if not isinstance(value, bool) or operator not in {Operator.EQ, Operator.NE}:
            raise _error(node, "a condition can only be == or != true or false")
        return left if value is (operator is Operator.EQ) else _negate(left)

    def _call(self, node: _Node, at: Path | Condition) -> _Value:
        name, *arguments = node.children
        argument = _tree(arguments[0]) if arguments else None
        match str(name):
            case "not" if argument is not None:
                return _negate(self._part(argument, at))
            case "not":
                return _negate(Truthy(at) if isinstance(at, Path) else at)
            case "length":
                if argument is not None:
                    raise _error(argument, "length takes no argument: write `.a | length`")
                return _Length(_as_path(node, at))
            case "contains" | "startswith" | "endswith" as test:
                path = _as_path(node, at)
                if argument is None:
                    raise _error(node, f'{test} needs a string: write {test}("text")')
                value = self.read(argument, at)
                if not isinstance(value, _Literal) or not isinstance(value.value, str):
                    raise _error(argument, f"{test} takes a string in double quotes")
                self._count(node)
                return MatchText(path, TextMatch(test), value.value)
            case "select":
                raise _error(node, "write the condition itself, without select(…)")
            case "test" | "match" | "capture" | "scan":
                usable = "contains, startswith or endswith"
                raise _error(node, f"{name} (regular expressions) is not supported: use {usable}")
            case unknown:
                known = "contains, startswith, endswith, length and not"
                raise _error(node, f"{unknown} is not supported: use {known}")

    def _count(self, node: _Node) -> None:
        self._tests += 1
        if self._tests > MAX_TESTS:
            raise _error(node, f"too long: at most {MAX_TESTS} comparisons and tests")


def _negate(condition: Condition) -> Condition:
    return condition.condition if isinstance(condition, Not) else Not(condition)


def _as_path(node: _Node, at: Path | Condition) -> Path:
    if isinstance(at, Path):
        return at
    raise _error(node, "what comes before `|` is true or false: only `not` can follow")


def _read_path(node: _Node, at: Path | Condition) -> Path:
    path = Path(_as_path(node, at).steps + tuple(_read_steps(node)))
    if sum(not is_plain(step) for step in path.steps) > MAX_ODD_KEYS:
        kind = "keys that are empty or that JSON may escape"
        raise _error(node, f"a path has at most {MAX_ODD_KEYS} {kind}")
    return path


def _read_steps(node: _Node) -> list[Step]:
    steps: list[Step] = []
    for token in map(_token, node.children):
        match token.type:
            case "FIELD":
                steps.append(str(token)[1:])
            case "STRING":
                steps.append(_read_string(token))
            case "NUMBER":
                index = _read_number(token)
                if not isinstance(index, int) or abs(index) >= 2**31:
                    raise _error(token, "an index is a whole number below 2^31")
                steps.append(index)
    return steps


def _read_scalar(token: Token) -> Scalar:
    match token.type:
        case "STRING":
            return _read_string(token)
        case "NUMBER":
            return _read_number(token)
        case kind:
            return {"TRUE": True, "FALSE": False}.get(kind)


def _read_string(token: Token) -> str:
    text: str = loads(token)
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise _error(token, "a string has no NUL and no lone surrogate")
    return text


def _read_number(token: Token) -> int | float:
    text = str(token)
    return int(text) if text.removeprefix("-").isdecimal() else float(text)


def _tree(child: Token | _Node) -> _Node:
    """Return `child`, which the grammar guarantees to be a node."""
    if isinstance(child, Token):
        raise TypeError(f"expected a node, found {child!r}")
    return child


def _token(child: Token | _Node) -> Token:
    """Return `child`, which the grammar guarantees to be a token."""
    if not isinstance(child, Token):
        raise TypeError(f"expected a token, found {child.data}")
    return child


def _error(place: Token | _Node, reason: str) -> JqError:
    start = place.start_pos if isinstance(place, Token) else place.meta.start_pos
    return JqError(int(start or 0) + 1, reason)
