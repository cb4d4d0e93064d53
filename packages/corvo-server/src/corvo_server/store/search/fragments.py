"""Fragments of SQL together with their bound values."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Sql(NamedTuple):
    """SQL text with one `?` per value, in the order of `values`."""

    text: str
    values: tuple[Any, ...] = ()


TRUE = Sql("TRUE")


def bind(value: Any) -> Sql:
    """Return a placeholder with its value."""
    return Sql("?", (value,))


def fuse(template: str, *parts: Sql) -> Sql:
    """Return `template` with each `{}` replaced by the next of `parts`, and their values.

    The template must be a constant of the program. Bind every value that comes from a request.
    """
    values = tuple(value for part in parts for value in part.values)
    return Sql(template.format(*(part.text for part in parts)), values)


def join(separator: str, parts: Iterable[Sql]) -> Sql:
    """Return `parts` joined by `separator`, and their values."""
    parts = list(parts)
    values = tuple(value for part in parts for value in part.values)
    return Sql(separator.join(part.text for part in parts), values)


def all_of(parts: Iterable[Sql]) -> Sql:
    """Return the condition that all of `parts` are true; TRUE if there are none."""
    parts = list(parts)
    return fuse("({})", join(" AND ", parts)) if parts else TRUE


def any_of(parts: Iterable[Sql]) -> Sql:
    """Return the condition that at least one of `parts` is true. There must be one part."""
    return fuse("({})", join(" OR ", parts))


def one_of(column: str, values: Iterable[Any]) -> Sql:
    """Return the condition that `column` has one of `values`. There must be one value."""
    return fuse(f"{column} IN ({{}})", join(", ", map(bind, values)))
