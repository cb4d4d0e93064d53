"""Rules that mark values of payloads as secret, e.g. `$.card.*` or `payments.*:$.card.number`.

A rule has a path, a small subset of JSONPath, and optionally a pattern of queues before it:

- `$` is the payload.
- `.name` or `["any text"]` is a member of an object.
- `.*` or `[*]` is each member of an object and each element of an array.
- `..name` or `..["any text"]` is each member of that name, at any depth.
"""

import re
from json import loads

from msgspec import Struct
from pydantic import TypeAdapter, ValidationError

from corvo_schema.auth import QueueGlob

MAX_LENGTH = 1024
"""Maximum number of characters of a rule."""

_STEP = re.compile(
    r"""(?P<deep>\.(?=\.))?(?:
        \.(?P<name>[^\W\d][\w-]*)
      | \.?(?P<any>(?<=\.)\*|\[\*\])
      | \.?(?P<key>\["(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"\])
    )""",
    re.VERBOSE,
)
_WITHIN_QUOTES = r'"(?:[^"\\]|\\.)*"?'
_ENTRY = re.compile(rf"(?:[^,\"]|{_WITHIN_QUOTES})+", re.DOTALL)
_HINTS = {
    "[": 'only ["name"] and [*] are supported in brackets',
    "*": "write .* or [*]",
    "@": "expressions are not supported",
    "?": "expressions are not supported",
    "'": "write names in double quotes",
    " ": "blanks are not allowed outside of double quotes",
}
_EXAMPLES = '$.card.number, $.items[*].token, $.card.*, $..password or $["a b"]'
_glob = TypeAdapter[str](QueueGlob)


class Step(Struct, frozen=True):
    """One step of a path: to the members with a name, or to all members and elements."""

    name: str | None
    """Name of the member; None means all members and elements."""
    is_deep: bool = False
    """Whether the step may start at any depth."""


class Rule(Struct, frozen=True):
    """Marks the values at a path as secret, in all queues or in those of a pattern."""

    text: str
    path: tuple[Step, ...]
    queues: str | None = None
    """Pattern of the queues; None means all."""


def split_rules(text: str) -> list[str]:
    """Split rules that are separated by commas. A comma within double quotes separates nothing."""
    return [rule for entry in _ENTRY.findall(text) if (rule := entry.strip())]


def read_rule(text: str) -> Rule:
    """Return the rule in `text`. Raise `ValueError` with the wrong place and what is expected."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a rule has at most {MAX_LENGTH} characters, this one has {len(text)}")
    if text.startswith("$"):
        return Rule(text, _read_path(text, 0))
    queues, found, _ = text.partition(":$")
    if not found:
        raise ValueError(
            f"{text!r} has no path. Write a path like {_EXAMPLES}, for some queues with a pattern "
            "before it like payments.*:$.card.number"
        )
    try:
        _glob.validate_python(queues)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"the pattern of queues {queues!r} in {text!r} {reason}") from None
    return Rule(text, _read_path(text, len(queues) + 1), queues)


def _read_path(text: str, start: int) -> tuple[Step, ...]:
    steps: list[Step] = []
    at = start + 1
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None or (match["deep"] and match["any"]):
            raise ValueError(_reason(text, at))
        key = match["key"]
        name = match["name"] if key is None else loads(key[1:-1])
        steps.append(Step(name, is_deep=match["deep"] is not None))
        at = match.end()
    return tuple(steps)


def _reason(text: str, at: int) -> str:
    wrong = len(text) - len(text[at:].lstrip("."))
    if text.startswith("..", at) and text[wrong : wrong + 1] in {"*", "["}:
        hint = "after .. write a name, like $..password"
    elif wrong >= len(text):
        hint = "a name is missing at the end"
    elif wrong == at and (text[at].isalpha() or text[at] in '_"'):
        hint = "write a dot before a name"
    else:
        hint = _HINTS.get(text[wrong], 'write names with other characters like $["a:b"]')
    return (
        f"{text!r} cannot be read at character {min(wrong, len(text)) + 1}: {hint}. "
        f"A path is like {_EXAMPLES}"
    )
