"""Find what does not survive the way through JSON."""

import dataclasses
import math
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from datetime import UTC, datetime, time
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

_LOSSY = (
    "a worker would get another value, because JSON cannot express this one; annotate the "
    "parameter with a type that pydantic can write and read, or pass plain data"
)
_MASKED = (
    "a secret is masked in JSON, so the worker would not get it; pass a reference to the secret, "
    "or annotate it with `str` if the server may store it"
)
_ONLY_THE_VALUE = (
    "a worker would get the plain value of this enum member; annotate the parameter with the enum "
    "alone, or pass `.value`"
)
_DECODED = (
    "the type decodes bytes, so a worker would get other bytes than these; use `bytes` for text in "
    'UTF-8, or a model with ser_json_bytes="base64" and val_json_bytes="base64" in its config'
)
_ROUNDED = (
    "a float cannot have this value, so a worker would get a rounded one; annotate the parameter "
    "with `int` or `Decimal`"
)

_SECRETS = (SecretStr, SecretBytes, Secret)
_PLAIN = (str, int, bool, NoneType)

Members = Mapping[str, tuple[Any, Any]]
"""Given and read value by name."""


def difference(given: Any, read: Any, path: str, is_json_equal: Callable[[], bool]) -> str | None:
    """Return a sentence about the first value within `given` that `read` does not equal, or None.

    The sentence has the path of the value, and not the value. Objects without an equality of their
    own are equal if their attributes are. `is_json_equal` decides about objects that raise an
    error when they are compared.
    """
    compared: set[tuple[int, int]] = set()  # objects may reference each other in a circle

    def compare(given: Any, read: Any, path: str) -> str | None:
        if given is read or (type(given) in _PLAIN and given == read):
            return None
        if (pair := (id(given), id(read))) in compared:
            return None
        compared.add(pair)
        members = _members(given, read)
        if members is None:
            if _is_equal(given, read, is_json_equal):
                return None
            return f"{path}: {_fault_of(given)}"
        for name, (one, other) in members.items():
            found = compare(one, other, f"{path}.{name}" if path else name)
            if found is not None:
                return found
        return None

    return compare(given, read, path)


def alteration(given: Any, kept: Any, path: str) -> str | None:
    """Return a sentence about the first value that its type has altered, or None.

    `kept` is `given` after its validation. A type may convert what it gets, and an application may
    normalize text. But bytes must not be decoded, and numbers must not be rounded.
    """
    if given is kept:
        return None
    if isinstance(given, bytes) and isinstance(kept, bytes):
        return None if given == kept else f"{path}: {_DECODED}"
    if isinstance(given, int | Decimal) and isinstance(kept, float):
        is_exact = not math.isfinite(kept) or Decimal(repr(kept)) == given
        return None if is_exact else f"{path}: {_ROUNDED}"
    pairs: Iterator[tuple[Any, tuple[Any, Any]]] = iter(())
    if isinstance(given, list | tuple) and isinstance(kept, list | tuple):
        pairs = enumerate(zip(given, kept, strict=False))
    elif isinstance(given, dict) and isinstance(kept, dict):
        pairs = ((key, (value, kept[key])) for key, value in given.items() if key in kept)
    found = (alteration(one, other, f"{path}.{name}") for name, (one, other) in pairs)
    return next(filter(None, found), None)


def _fault_of(given: Any) -> str:
    if _has_secret(given):
        return _MASKED
    return _ONLY_THE_VALUE if isinstance(given, Enum) else _LOSSY


def _has_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_secret, [*value, *value.values()]))
    if isinstance(value, Set | tuple):
        return any(map(_has_secret, value))
    return isinstance(value, _SECRETS)


def _members(given: Any, read: Any) -> Members | None:
    """Return the members of two values of the same shape. None: compare the values as such."""
    kind = type(given)
    if isinstance(given, Iterator) and isinstance(read, Iterator | list):
        given, read, kind = list(given), list(read), list
    is_sequence = isinstance(given, list | tuple | deque)
    if kind in (list, tuple) or (is_sequence and kind is type(read)):
        # JSON has only arrays, so a tuple without an annotation is read as a list.
        if (
            isinstance(read, list | tuple | deque)
            and type(read) in (kind, list)
            and len(given) == len(read)
        ):
            pairs = zip(given, read, strict=True)
            return {str(index): pair for index, pair in enumerate(pairs)}
    elif isinstance(given, dict) and isinstance(read, dict):
        if given.keys() == read.keys() and _have_same_types(given, read):
            return {str(key): (value, read[key]) for key, value in given.items()}
    elif kind is type(read) and not isinstance(given, type):
        return _attributes(given, read)
    return None


def _have_same_types(given: Collection[Any], read: Collection[Any]) -> bool:
    """Return whether the members of equal sets, or the keys of equal dicts, have the same types.

    A member of a `StrEnum` equals its text, but is another value for a handler.
    """
    if not any(isinstance(member, Enum) for member in given):
        return True
    return Counter(map(type, given)) == Counter(map(type, read))


def _attributes(given: Any, read: Any) -> Members | None:
    names: list[str]
    if isinstance(given, BaseModel):
        # Not the private attributes: they are not part of the data of a model.
        names = [*type(given).model_fields, *(given.model_extra or ()), *(read.model_extra or ())]
    elif dataclasses.is_dataclass(given):
        names = [field.name for field in dataclasses.fields(given)]
    elif not _has_equality(type(given)):
        names = [*getattr(given, "__dict__", ()), *getattr(read, "__dict__", ())]
        for kind in type(given).__mro__:
            slots = getattr(kind, "__slots__", ())
            names += [slots] if isinstance(slots, str) else slots
        names = [name for name in names if hasattr(given, name) or hasattr(read, name)]
    else:
        return None
    return {name: (getattr(given, name, None), getattr(read, name, None)) for name in names}


def _has_equality(kind: type) -> bool:
    return getattr(kind, "__eq__", None) is not object.__eq__


def _is_equal(given: Any, read: Any, is_json_equal: Callable[[], bool]) -> bool:
    if isinstance(given, float) and isinstance(read, float) and math.isnan(given):
        return math.isnan(read)
    if isinstance(given, datetime | time) and isinstance(read, datetime | time):
        if (given.tzinfo is None) is not (read.tzinfo is None):
            return False
        if isinstance(given, datetime) and isinstance(read, datetime) and given.tzinfo is not None:
            # Not `==`: a time that a clock change repeats equals no time of another zone.
            return given.astimezone(UTC) == read.astimezone(UTC)
    if isinstance(given, Enum | Set | tuple) and type(given) is not type(read):
        return False  # although they may be equal: they have not the same attributes
    try:
        is_equal = bool(given == read)
    except Exception:  # noqa: BLE001 - for example arrays, which have no single truth
        return type(given) is type(read) and is_json_equal()
    has_members = isinstance(given, Set | Mapping)
    return is_equal and (not has_members or _have_same_types(given, read))
