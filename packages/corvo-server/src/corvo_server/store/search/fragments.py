"""Pieces of SQL that carry the values bound in them."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Sql(NamedTuple):
    """SQL text with a `?` for each of `values`, in their order."""

    text: str
    values: tuple[Any, ...] = ()


TRUE = Sql("TRUE")


def bind(value: Any) -> Sql:
    """A value, bound."""
    return Sql("?", (value,))


def fuse(template: str, *parts: Sql) -> Sql:
    """`template` with its `{}` filled by `parts` in order, values included.

    Templates are words of this program; whatever comes from a request is bound.
    """
    values = tuple(value for part in parts for value in part.values)
    return Sql(template.format(*(part.text for part in parts)), values)


def join(separator: str, parts: Iterable[Sql]) -> Sql:
    """`parts` with `separator` between them."""
    parts = list(parts)
    values = tuple(value for part in parts for value in part.values)
    return Sql(separator.join(part.text for part in parts), values)


def all_of(parts: Iterable[Sql]) -> Sql:
    """All conditions hold; none means that nothing is asked."""
    parts = list(parts)
    return fuse("({})", join(" AND ", parts)) if parts else TRUE


def any_of(parts: Iterable[Sql]) -> Sql:
    """One of the conditions holds."""
    return fuse("({})", join(" OR ", parts))


def one_of(column: str, values: Iterable[Any]) -> Sql:
    """A column has one of `values`."""
    return fuse(f"{column} IN ({{}})", join(", ", map(bind, values)))
