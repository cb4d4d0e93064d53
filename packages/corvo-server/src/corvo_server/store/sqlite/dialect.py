"""Translate the filters of a search into SQL for SQLite."""

import json
from collections.abc import Iterable

from corvo_server.store.search.conditions import (
    Compare,
    CompareLength,
    MatchText,
    Operator,
    Path,
    Scalar,
    Step,
    TextMatch,
    Truthy,
    is_plain,
)
from corvo_server.store.search.filters import DocumentTest
from corvo_server.store.search.fragments import Sql, bind, fuse

_INT64 = 2**63
_LAST_CHARACTER = "\U0010ffff"

_TYPES_BELOW = {
    "null": (),
    "false": ("null",),
    "true": ("null", "false"),
    "number": ("null", "false", "true"),
    "text": ("null", "false", "true", "integer", "real"),
}
"""By type, the types whose values all sort before it."""

_LENGTH = (
    "CASE {} WHEN 'text' THEN length({}) WHEN 'array' THEN json_array_length({})"
    " WHEN 'object' THEN (SELECT count(*) FROM json_each({}))"
    " WHEN 'integer' THEN CASE WHEN {} < 0 THEN 0 - {} ELSE {} END WHEN 'real' THEN abs({})"
    " WHEN 'true' THEN NULL WHEN 'false' THEN NULL ELSE 0 END"
)
_HAS_TAG = (
    "EXISTS (SELECT 1 FROM job_tags AS t WHERE t.segment = jobs.seq >> 12"
    " AND t.key = {} AND t.value = {} AND t.job_seq = jobs.seq)"
)


class SqliteDialect:
    """Implements `store.search.filters.Dialect`."""

    def test(self, test: DocumentTest) -> Sql:
        """Return SQL for a test of one value in the payload."""
        found = _Place(test.path)
        match test:
            case Truthy():
                condition = fuse("coalesce({}, 'null') NOT IN ('null', 'false')", found.type)
            case Compare():
                condition = _compare(found, test.operator, test.value)
            case CompareLength():
                length = fuse(_LENGTH, found.type, *([found.value] * 7))
                sign = _SIGNS[test.operator]
                condition = fuse(f"({{}} {sign} {{}}) IS TRUE", length, _number(test.value))
            case MatchText():
                condition = _test_text(found, test)
        return found.look(condition)

    def guard(self, condition: Sql) -> Sql:
        """Return `condition`, false for payloads nested too deeply for SQLite to parse.

        Without the guard, one such payload would fail the whole statement.
        """
        return fuse("(json_valid(jobs.payload) AND {})", condition)

    def contains(self, column: str, text: str) -> Sql:
        """Return SQL for "the column contains `text`"; `instr`, unlike LIKE, has no wildcards."""
        return fuse(f"instr({column}, {{}}) > 0", bind(text))

    def is_among(self, column: str, names: Iterable[str]) -> Sql:
        """Return SQL for "the column has one of `names`", which are one bound value."""
        values = bind(json.dumps([*names]))
        return fuse(f"{column} IN (SELECT value FROM json_each({{}}))", values)  # noqa: S608 - a column of this package

    def starts_with(self, column: str, prefix: str) -> Sql:
        """Return SQL for "the column starts with `prefix`", as a range that an index can serve."""
        lower, upper = bind(prefix), bind(prefix + _LAST_CHARACTER)
        return fuse(f"({column} >= {{}} AND {column} < {{}})", lower, upper)

    def has_tag(self, key: str, value: str) -> Sql:
        """Return SQL for "the job has this tag", answered by the index `job_tags`."""
        return fuse(_HAS_TAG, bind(key), bind(value))


_SIGNS = {operator: "=" if operator is Operator.EQ else operator.value for operator in Operator}


class _Place:
    """SQL for the type and the value at a path of the payload; both are NULL if nothing is there.

    A path in SQLite cannot name every key. For the other keys, the statement joins the members of
    the object; then `type` and `value` are valid only within the condition given to `look`.
    """

    def __init__(self, path: Path) -> None:
        self._joins: list[Sql] = []
        document = Sql("jobs.payload")
        plain: list[Step] = []
        for step in path.steps:
            if is_plain(step):
                plain.append(step)
                continue
            name = f"m{len(self._joins)}"
            self._joins.append(
                fuse(
                    f" LEFT JOIN json_each({{}}, {{}}) AS {name} ON {name}.key = {{}}",
                    document,
                    bind(_json_path(plain)),
                    bind(step),
                )
            )
            # json_each returns the value of a string unquoted: it is not JSON and has no members.
            document = Sql(f"CASE WHEN {name}.type IN ('object', 'array') THEN {name}.value END")
            plain = []
        if self._joins and not plain:
            self.type, self.value = Sql(f"{name}.type"), Sql(f"{name}.value")
        else:
            steps = bind(_json_path(plain))
            self.type = fuse("json_type({}, {})", document, steps)
            self.value = fuse("json_extract({}, {})", document, steps)

    def look(self, condition: Sql) -> Sql:
        """Return `condition`, a condition on `type` and `value`, with the joins that it needs."""
        if not self._joins:
            return fuse("({})", condition)
        joins = fuse("{}" * len(self._joins), *self._joins)
        return fuse("(SELECT {} FROM (SELECT 1){} LIMIT 1)", condition, joins)


def _json_path(steps: list[Step]) -> str:
    return "$" + "".join(map(_json_step, steps))


def _json_step(step: Step) -> str:
    if isinstance(step, str):
        return f'."{step}"'
    return f"[{step}]" if step >= 0 else f"[#{step}]"


def _compare(found: _Place, operator: Operator, value: Scalar) -> Sql:
    match operator:
        case Operator.EQ:
            return _equal(found, value)
        case Operator.NE:
            return fuse("NOT {}", _equal(found, value))
        case Operator.LT:
            return _less(found, value, or_equal=False)
        case Operator.LE:
            return _less(found, value, or_equal=True)
        case Operator.GT:
            return fuse("NOT {}", _less(found, value, or_equal=True))
        case Operator.GE:
            return fuse("NOT {}", _less(found, value, or_equal=False))


def _equal(found: _Place, value: Scalar) -> Sql:
    match value:
        case None:
            return fuse("coalesce({}, 'null') = 'null'", found.type)
        case bool():
            return fuse(f"({{}} = '{'true' if value else 'false'}') IS TRUE", found.type)
        case str():
            types, same = "= 'text'", bind(value)
        case _:
            types, same = "IN ('integer', 'real')", _number(value)
    # The value comes first: it excludes most documents, so SQLite rarely computes the type.
    return fuse(f"({{}} = {{}} AND {{}} {types}) IS TRUE", found.value, same, found.type)


def _less(found: _Place, value: Scalar, *, or_equal: bool) -> Sql:
    """Return SQL for "the value at the place sorts before `value`".

    Values of different types sort by type, values of one type by value, as in jq.
    """
    sign = "<=" if or_equal else "<"
    match value:
        case str():
            below = _TYPES_BELOW["text"]
            same = f"{{}} = 'text' AND {{}} {sign} {{}}"
            limit = bind(value)
        case None | bool():
            kind = "null" if value is None else "true" if value else "false"
            below = _TYPES_BELOW[kind] + ((kind,) if or_equal else ())
            return _is_one_of(found, below)
        case _:
            below = _TYPES_BELOW["number"]
            same = f"{{}} IN ('integer', 'real') AND {{}} {sign} {{}}"
            limit = _number(value)
    return fuse(
        "({} OR ({}) IS TRUE)",
        _is_one_of(found, below),
        fuse(same, found.type, found.value, limit),
    )


def _is_one_of(found: _Place, types: tuple[str, ...]) -> Sql:
    if not types:
        return Sql("FALSE")
    names = ", ".join(f"'{name}'" for name in types)
    return fuse(f"coalesce({{}}, 'null') IN ({names})", found.type)


def _test_text(found: _Place, test: MatchText) -> Sql:
    match test.test:
        case TextMatch.CONTAINS:
            holds = fuse("instr({}, {}) > 0", found.value, bind(test.text))
        case TextMatch.STARTSWITH:
            start = fuse("substr({}, 1, {})", found.value, bind(len(test.text)))
            holds = fuse("{} = {}", start, bind(test.text))
        case TextMatch.ENDSWITH if test.text:
            end = fuse("substr({}, {})", found.value, bind(-len(test.text)))
            holds = fuse("{} = {}", end, bind(test.text))
        case _:
            holds = Sql("TRUE")
    return fuse("({} = 'text' AND {}) IS TRUE", found.type, holds)


def _number(value: int | float) -> Sql:
    """Return SQL for a number as SQLite reads it from JSON: a 64-bit integer, else a float."""
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return bind(value)
    as_float = _to_float(value)
    if as_float in {float("inf"), float("-inf")}:
        return bind(as_float)
    # SQLite parses numbers differently from Python. Bound as text, the number becomes the same
    # float as in a document.
    return fuse("CAST({} AS REAL)", bind(repr(value)))


def _to_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
