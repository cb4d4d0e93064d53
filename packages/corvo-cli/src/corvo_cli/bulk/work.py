"""The work of a bulk action: by the server at once, or in its background."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

import corvo_client
from corvo_cli.bulk.actions import Action
from corvo_cli.bulk.following import drawing, follow
from corvo_cli.bulk.selection import Selection
from corvo_cli.human import count
from corvo_cli.session import Session

if TYPE_CHECKING:
    from corvo_client.calls import Call, Exact
    from corvo_schema import BulkAccepted, BulkReply

MOST_IDS = 10_000
"""How many ids fit into one request."""


def act(session: Session, action: Action, selection: Selection, *, wait: bool, **more: Any) -> None:
    """Do it, and print what came of it. `more` is what the action needs beside the jobs.

    Unless `wait`, all of it goes to the server's background, and its id is printed.
    """
    ids = selection.job_ids
    if ids is None:
        call = _call(action, filters=selection.filters, in_background=not wait, **more)
        _print(session, action, session.ask(call), wait=wait)
    elif wait:
        _act_on_named(session, action, ids, **more)
    elif len(ids) > MOST_IDS:
        raise click.UsageError(
            f"With --background, name {MOST_IDS:,} jobs at most, or use filters."
        )
    else:
        call = _call(action, job_ids=ids, in_background=True, **more)
        _print(session, action, session.ask(call), wait=False)


def _act_on_named(session: Session, action: Action, ids: Sequence[str], **more: Any) -> None:
    """As many requests as it takes; their answers added up."""
    if not ids:
        _print_done(session, action, _document(0, 0, 0.0), 0, 0)
        return
    replies: list[Exact[Any]] = []
    with drawing(session) as draw:
        for start in range(0, len(ids), MOST_IDS):
            draw(start, len(ids))
            call = _call(action, job_ids=ids[start : start + MOST_IDS], **more)
            replies.append(session.ask(call))
    affected = sum(reply.value.affected for reply in replies)
    errors = sum(reply.value.errors for reply in replies)
    body = replies[0].body
    if len(replies) > 1:
        body = _document(affected, errors, sum(reply.value.duration_ms for reply in replies))
    _print_done(session, action, body, affected, errors)


def _print(
    session: Session, action: Action, reply: "Exact[BulkReply | BulkAccepted]", *, wait: bool
) -> None:
    value = reply.value
    if isinstance(value, corvo_client.BulkReply):
        _print_done(session, action, reply.body, value.affected, value.errors)
    elif wait:
        session.output.say(f"{value.bulk_operation_id} goes on in the background.")
        ended = follow(session, value.bulk_operation_id)
        _print_done(session, action, ended.body, ended.value.affected, ended.value.errors)
        ended.check()
    else:
        if not session.output.is_json:
            session.output.lines([value.bulk_operation_id])
        session.output.done(reply.body, f"See `corvo bulk status {value.bulk_operation_id}`.")


def _print_done(session: Session, action: Action, body: bytes, affected: int, errors: int) -> None:
    left = f" {errors:,} left as they were: not there, or not in a state for it." if errors else ""
    session.output.done(body, f"{action.done} {count(affected, 'job')}.{left}")


def _document(affected: int, errors: int, duration_ms: float) -> bytes:
    """What the server would have said, had it been one request."""
    members = {"affected": affected, "errors": errors, "duration_ms": duration_ms}
    return json.dumps(members, separators=(",", ":")).encode()


def _call(action: Action, **arguments: Any) -> "Call[BulkReply | BulkAccepted]":
    return corvo_client.calls.bulk(action.api, **arguments)  # type: ignore[arg-type]  # a known word
