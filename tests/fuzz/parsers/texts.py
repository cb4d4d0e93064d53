"""Laws of the parsers of texts in bodies, queries and headers."""

import re
from base64 import urlsafe_b64encode
from fnmatch import fnmatchcase

from pydantic import ValidationError

from corvo_schema import ApiKeyRequest, SearchRequest
from corvo_schema.durations import format_duration, parse_duration
from corvo_schema.masks import mask_keys
from corvo_schema.timestamps import format_ms, parse_timestamp, to_ms
from corvo_server.auth.key_text import PREFIX, MalformedKeyError, new_key, read_key
from corvo_server.auth.scope import Scope
from corvo_server.engine import cron
from corvo_server.engine.cursor import Cursor
from corvo_server.engine.errors import CallError
from corvo_server.store.search import jq

_MAX_LABEL = 255
"""Maximum length of a cron expression in a request."""
_NOW = 1_800_000_000_000
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
_SEARCH = SearchRequest()
_SHOWN_SECRET = re.compile(f"{PREFIX}[0-9A-Za-z]{{12}}_[0-9A-Za-z]")


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def check_cron(data: bytes) -> None:
    """An expression is refused with a reason, or its occurrences ascend and match its fields."""
    expression = _text(data)[:_MAX_LABEL]
    try:
        fields = cron.parse(expression)
    except cron.CronError as error:
        assert str(error)  # noqa: PT017
        return
    assert cron.parse(fields) == fields
    zone = _ZONES[len(data) % len(_ZONES)]
    moments = cron.upcoming(expression, zone, _NOW, 5)
    assert moments == sorted({*moments})
    assert all(moment > _NOW and moment % 1000 == 0 for moment in moments)
    assert moments[:1] == [at for at in [cron.next_after(expression, zone, _NOW)] if at]


def check_jq(data: bytes) -> None:
    """An expression is refused with a position within it, or gives a condition."""
    expression = _text(data)
    try:
        jq.parse(expression)
    except jq.JqError as error:
        assert 1 <= error.position <= len(expression) + 1  # noqa: PT017


def check_cursors(data: bytes) -> None:
    """A text is refused, or gives a cursor whose own text gives it back."""
    for text in (_text(data), urlsafe_b64encode(data).decode()):
        try:
            cursor = Cursor.read(text, _SEARCH)
        except CallError:
            continue
        assert Cursor.read(cursor.write(), _SEARCH) == cursor


def check_durations(data: bytes) -> None:
    """A text is refused with a hint, or gives ms whose own text gives them back."""
    try:
        ms = parse_duration(_text(data))
    except ValueError as error:
        assert "duration" in str(error)  # noqa: PT017
        return
    assert parse_duration(format_duration(ms)) == ms


def check_timestamps(data: bytes) -> None:
    """A text is refused with a sentence, or gives a time whose own text gives it back."""
    try:
        moment = parse_timestamp(_text(data))
    except ValueError:
        return
    assert parse_timestamp(format_ms(to_ms(moment))) == moment


def check_keys(data: bytes) -> None:
    """A text is a key, or is refused without being repeated. No masked text has a secret."""
    text = _text(data)
    try:
        assert read_key(text).text == text
    except MalformedKeyError as error:
        assert len(text) < 8 or text not in str(error)  # noqa: PT017
    masked = mask_keys(text)
    assert not _SHOWN_SECRET.search(masked)
    assert mask_keys(masked) == masked


def check_masks(data: bytes) -> None:
    """Whatever is around a key, its secret is masked."""
    text, at = _text(data), len(data) // 2
    key = new_key().text
    assert key[-20:] not in mask_keys(text[:at] + key + text[at:])


def check_scopes(data: bytes) -> None:
    """Patterns are refused, or match exactly what a second implementation matches."""
    name, *globs = _text(data).split("\n")
    try:
        request = ApiKeyRequest.model_validate({"name": "n", "roles": ["worker"], "queues": globs})
    except ValidationError:
        return
    found = name in Scope(request.queues or [])
    assert found == any(_matches(glob, name) for glob in globs)
    if "[" not in "".join(globs):
        assert found == any(fnmatchcase(name, glob) for glob in globs)


def _matches(glob: str, name: str) -> bool:
    """Match without regular expressions: `ends` has the lengths of `name` matched so far."""
    ends = {0}
    for sign in glob:
        if sign == "*":
            ends = set(range(min(ends), len(name) + 1)) if ends else ends
        else:
            ends = {end + 1 for end in ends if end < len(name) and sign in {"?", name[end]}}
    return len(name) in ends
