"""Field types with their limits, shared by the models of several resources."""

import re
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticUseDefault

from corvo_schema.states import Backoff, JobState, Priority

MAX_LABEL = 255
MAX_UNIQUE_KEY = 1024
MAX_SEARCH_TEXT = 4096
MAX_RETRIES = 1_000_000
MAX_TAGS = 64
MAX_TAG_VALUE = 1024

T = TypeVar("T")

_QUEUE_NAME = re.compile(r"[A-Za-z0-9._:/-]{1,255}")
_PRIORITIES: dict[Any, Priority] = {p.label: p for p in Priority} | {int(p): p for p in Priority}
_TRACE = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
_TRACEPARENT = re.compile(_TRACE)
_UNFIT = re.compile("[\0\ud800-\udfff]")


def _use_default_for_null(value: Any) -> Any:
    if value is None:
        raise PydanticUseDefault
    return value


Defaulted = Annotated[T, BeforeValidator(_use_default_for_null)]
"""An optional field whose default is not null: a null means the default."""


def member_of(enum: type[StrEnum], *, has_default: bool = True) -> BeforeValidator:
    """Return a validator that accepts a member of `enum` or its value.

    A null means the field's default. Items of a list have no default: pydantic would use the
    list's.
    """
    known = {member.value: member for member in enum}
    message = f"must be one of {', '.join(known)}"

    def read(value: Any) -> Any:
        if isinstance(value, str) and value in known:
            return known[value]
        if value is None and has_default:
            raise PydanticUseDefault
        raise ValueError(message)

    return BeforeValidator(read)


def is_queue_name(name: str) -> bool:
    """Return whether a text is a valid queue name."""
    # The cache must not keep long texts.
    return len(name) <= MAX_LABEL and _is_queue_name(name)


@lru_cache(maxsize=1024)  # requests repeat the same few names
def _is_queue_name(name: str) -> bool:
    return _QUEUE_NAME.fullmatch(name) is not None


def _check_queue_name(name: str) -> str:
    if not is_queue_name(name):
        raise ValueError("must be 1 to 255 characters from A-Z a-z 0-9 . _ - : /")
    return name


def _check_text(text: str) -> str:
    """Return `text`. Raise ValueError for NUL and lone surrogates, which no store can save."""
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    if not text.isascii() and _UNFIT.search(text):
        raise ValueError("must not contain a lone surrogate (text that UTF-8 cannot encode)")
    return text


def _clean_text(value: Any) -> Any:
    """Replace NUL and lone surrogates, so that no error report is refused for its characters."""
    if isinstance(value, str):
        if value.isascii() and "\0" not in value:
            return value
        return _UNFIT.sub("\ufffd", value)
    return value


def _check_tags(tags: dict[str, str]) -> dict[str, str]:
    for key, value in tags.items():
        if not 1 <= len(key) <= MAX_LABEL:
            raise ValueError(f"a tag's key must have 1 to {MAX_LABEL} characters, not {len(key)}")
        if len(value) > MAX_TAG_VALUE:
            raise ValueError(
                f"the value of tag {key!r} must have at most {MAX_TAG_VALUE} characters, "
                f"not {len(value)}"
            )
        _check_text(key)
        _check_text(value)
    return tags


def is_traceparent(text: str) -> bool:
    """Return whether a text is a valid `traceparent` of W3C Trace Context."""
    return _TRACEPARENT.fullmatch(text) is not None


def _check_traceparent(text: str) -> str:
    if not is_traceparent(text):
        raise ValueError("must be a traceparent, e.g. 00-<32 hex digits>-<16 hex digits>-01")
    return text


def _read_priority(value: Any) -> Priority:
    if not isinstance(value, bool) and isinstance(value, str | int) and value in _PRIORITIES:
        return _PRIORITIES[value]
    if value is None:
        raise PydanticUseDefault
    raise ValueError("must be critical, high or normal (or 0, 1, 2)")


def _read_known_priority(value: Any) -> Any:
    return _PRIORITIES.get(value, value) if isinstance(value, str | int) else value


def _write_priority(value: Priority | str) -> str:
    return value.label if isinstance(value, Priority) else value


def _read_whole(value: Any) -> Any:
    # Some languages send 3.0 for 3. JSON does not distinguish them.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _use_default_for_null(value)


WHOLE = BeforeValidator(_read_whole)
"""Added to an int: accepts 3.0, refuses "3" and true. Place it after the bounds."""

_NO_NUL = r"^[^\u0000]*$"


def text_json(longest: int, shortest: int = 1, **more: Any) -> WithJsonSchema:
    """Return the JSON schema of a text with `shortest` to `longest` characters and no NUL."""
    lengths = {"minLength": shortest, "maxLength": longest}
    return WithJsonSchema({"type": "string", **lengths, "pattern": _NO_NUL, **more})


Label = Annotated[
    str,
    Field(min_length=1, max_length=MAX_LABEL),
    AfterValidator(_check_text),
    text_json(MAX_LABEL),
]
"""A name or reference of 1 to 255 characters."""

UniqueKey = Annotated[
    str,
    Field(min_length=1, max_length=MAX_UNIQUE_KEY),
    AfterValidator(_check_text),
    text_json(MAX_UNIQUE_KEY),
]

SearchText = Annotated[
    str,
    Field(min_length=1, max_length=MAX_SEARCH_TEXT),
    AfterValidator(_check_text),
    text_json(MAX_SEARCH_TEXT),
]

Hostname = Annotated[
    str, Field(max_length=MAX_LABEL), AfterValidator(_check_text), text_json(MAX_LABEL, 0)
]

FreeText = Annotated[str, BeforeValidator(_clean_text)]
"""Text of any length in which NULs and lone surrogates are replaced instead of refused."""

QueueName = Annotated[
    str,
    AfterValidator(_check_queue_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9._:/-]{1,255}$"}),
]

Tags = Annotated[
    dict[str, str],
    Field(max_length=MAX_TAGS),
    BeforeValidator(_use_default_for_null),
    AfterValidator(_check_tags),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_TAGS,
            "propertyNames": text_json(MAX_LABEL).json_schema,
            "additionalProperties": text_json(MAX_TAG_VALUE, 0).json_schema,
        }
    ),
]
"""At most 64 tags; keys have 1 to 255 characters, values at most 1024."""

Traceparent = Annotated[
    str, AfterValidator(_check_traceparent), WithJsonSchema({"type": "string", "pattern": _TRACE})
]
"""A span, as in the header `traceparent` of W3C Trace Context."""

MaxRetries = Annotated[int, Field(ge=0, le=MAX_RETRIES), WHOLE]

BackoffName = Annotated[Backoff, member_of(Backoff)]

PriorityName = Annotated[
    Priority,
    BeforeValidator(_read_priority),
    PlainSerializer(_write_priority, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": [p.label for p in Priority]},
                {"enum": [int(p) for p in Priority]},
            ]
        }
    ),
]
"""`critical`, `high` or `normal`, or 0, 1 or 2. Written to the wire as the name."""

StateReply = Annotated[JobState | str, Field(union_mode="left_to_right")]
"""State of a job; a plain string if this version does not know it."""

PriorityReply = Annotated[
    Priority | str,
    BeforeValidator(_read_known_priority),
    PlainSerializer(_write_priority, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "examples": [p.label for p in Priority]}),
]
"""Priority of a job; a plain string if this version does not know it."""
