"""Translate the filters of a search into SQL for PostgreSQL.

Payloads are stored as text. The function `document` (see the migration) parses one as jsonb; it
returns NULL if jsonb cannot represent it. Numbers compare exactly, as decimals.
"""

import json
import re
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
)
from corvo_server.store.search.filters import DocumentTest
from corvo_server.store.search.fragments import Sql, bind, fuse

_LAST_CHARACTER = "\U0010ffff"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that jsonb cannot store: NUL and surrogates."""
_REPLACEMENT = "\ufffd"
"""The character by which `document` replaces them, too."""

_NULL, _FALSE, _TRUE, _NUMBER, _STRING = range(5)
_RANK = Sql(
    "CASE coalesce(jsonb_typeof(v), 'null') WHEN 'null' THEN 0"
    " WHEN 'boolean' THEN CASE v WHEN 'false' THEN 1 ELSE 2 END"
    " WHEN 'number' THEN 3 WHEN 'string' THEN 4 WHEN 'array' THEN 5 ELSE 6 END"
)
"""The rank of the type of `v`. Values of different types sort by rank, as in jq."""
_LENGTH = Sql(
    "CASE jsonb_typeof(v) WHEN 'string' THEN length(v #>> '{{}}')"
    " WHEN 'array' THEN jsonb_array_length(v)"
    " WHEN 'object' THEN (SELECT count(*) FROM jsonb_object_keys(v))"
    " WHEN 'number' THEN abs((v #>> '{{}}')::numeric) WHEN 'boolean' THEN NULL ELSE 0 END"
)
_IF_TYPE = "CASE WHEN jsonb_typeof(v) = '{}' THEN {{}} ELSE FALSE END"
_SIGNS = {operator: "=" if operator is Operator.EQ else operator.value for operator in Operator}


class PostgresDialect:
    """Implements `store.search.filters.Dialect`."""

    def test(self, test: DocumentTest) -> Sql:
        """Return SQL for a test of one value in the payload.

        Within the condition, `v` is the value at the path, NULL if nothing is there.
        """
        match test:
            case Truthy():
                condition = Sql("coalesce(v, 'null') NOT IN ('null', 'false')")
            case Compare():
                condition = _compare(test.operator, test.value)
            case CompareLength():
                sign = _SIGNS[test.operator]
                length = Sql(_LENGTH.text.format())
                condition = fuse(f"({{}} {sign} {{}}) IS TRUE", length, _number(test.value))
            case MatchText():
                condition = _match(test)
        # OFFSET 0 prevents the planner from inlining the subquery, which would evaluate the path
        # once for each `v` in the condition.
        return fuse(
            "(SELECT {} FROM (SELECT {} AS v OFFSET 0) AS place)", condition, _at(test.path)
        )

    def guard(self, condition: Sql) -> Sql:
        """Return `condition`, false for payloads that jsonb cannot represent."""
        return fuse("(document(jobs.payload) IS NOT NULL AND {})", condition)

    def contains(self, column: str, text: str) -> Sql:
        """Return SQL for "the column contains `text`"; `strpos`, unlike LIKE, has no wildcards."""
        return fuse(f"strpos({column}, {{}}) > 0", _text(text))

    def is_among(self, column: str, names: Iterable[str]) -> Sql:
        """Return SQL for "the column has one of `names`", which are one bound value."""
        values = bind(json.dumps([*names]))
        elements = fuse("SELECT json_array_elements_text({}::json)", values)
        return fuse(f"{column} = ANY(ARRAY({{}}))", elements)

    def starts_with(self, column: str, prefix: str) -> Sql:
        """Return SQL for "the column starts with `prefix`", as a range that an index can serve."""
        lower, upper = _text(prefix), _text(prefix + _LAST_CHARACTER)
        return fuse(f"({column} >= {{}} AND {column} < {{}})", lower, upper)

    def has_tag(self, key: str, value: str) -> Sql:
        """Return SQL for "the job has this tag", in the form that the index `jobs_tags` serves."""
        tag = _json({key: value})
        return fuse("(jobs.tags IS NOT NULL AND jobs.tags::jsonb @> {})", tag)


def _at(path: Path) -> Sql:
    if any(isinstance(step, int) and not -(2**31) < step < 2**31 for step in path.steps):
        return Sql("NULL::jsonb")  # jsonpath fails on larger indexes, and no array is that long
    # In strict mode, an index into a scalar finds nothing. Lax mode, like the operators `->`, would
    # treat the scalar as an array with one element.
    steps = "strict $" + "".join(map(_step, path.steps))
    return fuse(
        "jsonb_path_query_first(document(jobs.payload), {}::jsonpath, '{{}}', true)", bind(steps)
    )


def _step(step: Step) -> str:
    if isinstance(step, str):
        return "." + json.dumps(_storable(step), ensure_ascii=False)
    return f"[{step}]" if step >= 0 else f"[last - {-step - 1}]"


def _compare(operator: Operator, value: Scalar) -> Sql:
    match operator:
        case Operator.EQ:
            return fuse("coalesce(v, 'null') = {}", _json(value))
        case Operator.NE:
            return fuse("coalesce(v, 'null') <> {}", _json(value))
        case Operator.LT:
            return _less(value, or_equal=False)
        case Operator.LE:
            return _less(value, or_equal=True)
        case Operator.GT:
            return fuse("NOT {}", _less(value, or_equal=True))
        case Operator.GE:
            return fuse("NOT {}", _less(value, or_equal=False))


def _less(value: Scalar, *, or_equal: bool) -> Sql:
    """Return SQL for "`v` sorts before `value`"."""
    sign = "<=" if or_equal else "<"
    match value:
        case None | bool():
            kind = _NULL if value is None else _TRUE if value else _FALSE
            return fuse(f"({{}} {sign} {kind})", _RANK)
        case str():
            below, limit = _STRING, _text(value)
            same = fuse(f"""(v #>> '{{{{}}}}') COLLATE "C" {sign} {{}}""", limit)
            whole = fuse(_IF_TYPE.format("string"), same)
        case _:
            below, limit = _NUMBER, _number(value)
            same = fuse(f"(v #>> '{{{{}}}}')::numeric {sign} {{}}", limit)
            whole = fuse(_IF_TYPE.format("number"), same)
    return fuse(f"({{}} < {below} OR {{}})", _RANK, whole)


def _match(test: MatchText) -> Sql:
    text = _text(test.text)
    match test.test:
        case TextMatch.CONTAINS:
            holds = fuse("strpos(v #>> '{{}}', {}) > 0", text)
        case TextMatch.STARTSWITH:
            holds = fuse("starts_with(v #>> '{{}}', {})", text)
        case TextMatch.ENDSWITH:
            holds = fuse("right(v #>> '{{}}', length({})) = {}", text, text)
    return fuse(_IF_TYPE.format("string"), holds)


def _storable(text: str) -> str:
    return _UNSTORABLE.sub(_REPLACEMENT, text)


def _text(text: str) -> Sql:
    return Sql("?::text", (_storable(text),))


def _number(value: int | float) -> Sql:
    text = repr(value)
    return Sql("?::numeric", (text.replace("inf", "Infinity"),))


def _json(value: object) -> Sql:
    if isinstance(value, float) and value in {float("inf"), float("-inf")}:
        return Sql("NULL::jsonb")  # JSON has no infinity, so no document is equal to it
    if isinstance(value, str):
        value = _storable(value)
    return Sql("?::jsonb", (json.dumps(value, ensure_ascii=False),))
