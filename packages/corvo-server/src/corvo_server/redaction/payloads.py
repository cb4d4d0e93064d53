"""The masking of payloads by the paths of rules."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from corvo_server.redaction.hidden import JSON_MARK, Hidden
from corvo_server.redaction.matcher import Matcher
from corvo_server.redaction.tokens import TOKEN, read_string


class Masked(NamedTuple):
    """A payload with its secret values masked, and these values."""

    text: str
    hidden: Hidden


_NOTHING = Hidden(())
_PLAIN_NAME = re.compile(r'"[A-Za-z_-]*"')
"""A name within a secret value that is no secret itself: texts may contain it."""


def mask_payload(text: str, matcher: Matcher) -> Masked:
    """Mask the secret values of a payload, which must be valid JSON.

    Each secret value, also an object or an array, becomes one string. All other characters stay as
    they are. It takes time in proportion to the length of the text, at any depth of nesting.
    """
    if not matcher.may_match(text):
        return Masked(text, _NOTHING)
    pieces: list[str] = []
    secrets: list[str] = []
    copied = 0
    state = matcher.root
    """State of the value that begins with the next token."""
    around = [(state, False)]
    """State of each array and object around the token, and whether it is an object."""
    expects_name = False
    tokens = TOKEN.finditer(text)
    for match in tokens:
        token = match[1]
        mark = token[0]
        if mark in "}]":
            around.pop()
            expects_name = False
        elif mark == ",":
            outer, expects_name = around[-1]
            if not expects_name:
                state = matcher.step(outer, None)
        elif expects_name:
            state = matcher.step(around[-1][0], read_string(token))
            expects_name = False
        elif mark == ":":
            continue
        elif matcher.is_secret(state):
            pieces += (text[copied : match.start(1)], JSON_MARK)
            copied = _take_value(match, tokens, secrets)
        elif mark in "{[":
            expects_name = mark == "{"
            around.append((state, expects_name))
            if not expects_name:
                state = matcher.step(state, None)
    return Masked("".join([*pieces, text[copied:]]), Hidden(secrets))


def _take_value(first: re.Match[str], tokens: Iterator[re.Match[str]], secrets: list[str]) -> int:
    """Append the scalars of the value that begins with `first` to `secrets`. Return its end.

    Names of members that are not plain words count as scalars, such as an account number.
    """
    depth = 0
    match = first
    while True:
        mark = match[1][0]
        if mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
        elif mark == ":":
            if _PLAIN_NAME.fullmatch(secrets[-1]):
                secrets.pop()
        elif mark != ",":
            secrets.append(match[1])
        if not depth:
            return match.end(1)
        match = next(tokens)
