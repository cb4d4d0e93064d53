"""The limit of nesting: how many arrays and objects may contain each other in a document.

Some parsers refuse what others accept. pydantic's parser reads 200 levels, which leaves ten for the
objects around a document: a reply, the payload of a callback job, the arguments of a handler.
"""

from itertools import accumulate

MAX_NESTING = 190
"""Maximum levels of arrays and objects in a payload, a result or a checkpoint. `[[1]]` has two."""

MAX_CALLBACK_NESTING = MAX_NESTING - 1
"""Maximum levels of a `callback_payload`, which the payload of the callback job contains."""

_DROPPED = bytes(set(range(256)) - set(b'"[]{}'))
_AS_ARRAYS = bytes.maketrans(b"{}", b"[]")
_AS_STEPS = bytes.maketrans(b"[]", b"\x01\xff")


def too_deep(limit: int = MAX_NESTING) -> str:
    """Return the message for a document with more than `limit` levels."""
    return f"must have at most {limit} levels of nested arrays and objects"


def is_too_deep(text: bytes, limit: int = MAX_NESTING) -> bool:
    """Return whether the JSON `text`, which must be valid, has more than `limit` levels."""
    if len(text) <= 2 * limit or text.count(b"[") + text.count(b"{") <= limit:
        return False
    # Drop the escapes, then all but quotes and brackets, then the strings.
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text
    brackets = unescaped.translate(_AS_ARRAYS, _DROPPED).replace(b'""', b"")
    if b'"' in brackets:
        brackets = b"".join(brackets.split(b'"')[::2])
    # Each opening bracket is a step of 1, each closing one of -1 (the signed byte 0xff).
    steps = memoryview(brackets.translate(_AS_STEPS)).cast("b")
    return max(accumulate(steps), default=0) > limit
