"""Run a bulk action, directly or in the background of the server."""

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

import corvo_client
from corvo_cli.bulk.actions import Action
from corvo_cli.bulk.following import DrawProgress, follow, progress_bar
from corvo_cli.bulk.selection import Selection, check_queue
from corvo_cli.human import count
from corvo_cli.session import Session

if TYPE_CHECKING:
    from corvo_client.calls import Call, Exact
    from corvo_schema import BulkAccepted, BulkReply

MAX_IDS = 10_000
"""Maximum number of ids in one request."""


def act(session: Session, action: Action, selection: Selection, *, wait: bool, **more: Any) -> None:
    """Run the action and print the result. `more` has further arguments of the action.

    Without `wait`, start the action in the background and print the id of the operation.
    """
    ids = selection.job_ids
    if ids is None:
        call = _call(action, filters=selection.filters, in_background=not wait, **more)
        reply = session.ask(call)
        if is_empty(reply.value):
            check_queue(session, selection)
        _print(session, action, reply, wait=wait)
    elif wait:
        _act_on_ids(session, action, ids, states=selection.states, **more)
    elif len(ids) > MAX_IDS:
        raise click.UsageError(
            f"--background accepts at most {MAX_IDS:,} ids, not {len(ids):,}. Use filters instead."
        )
    else:
        call = _call(action, job_ids=ids, states=selection.states, in_background=True, **more)
        _print(session, action, session.ask(call), wait=False)


def is_empty(reply: "BulkReply | BulkAccepted") -> bool:
    """Return whether no job matched the filters."""
    if isinstance(reply, corvo_client.BulkReply):
        return reply.affected == reply.errors == 0
    return reply.estimated_total == 0


def _act_on_ids(session: Session, action: Action, ids: Sequence[str], **more: Any) -> None:
    """Send the ids in as many requests as needed, and print the sum of the replies."""
    if not ids:
        _print_done(session, action, _document(0, 0, 0.0), 0, 0)
        return
    replies: list[BulkReply] = []
    with progress_bar(session) as draw:
        for start in range(0, len(ids), MAX_IDS):
            draw(start, len(ids))
            call = _call(action, job_ids=ids[start : start + MAX_IDS], **more)
            reply = session.ask(call)
            body = reply.body
            replies.append(_wait(session, reply.value, partial(_draw_from, draw, start, len(ids))))
    affected = sum(reply.affected for reply in replies)
    errors = sum(reply.errors for reply in replies)
    if len(replies) > 1 or not isinstance(reply.value, corvo_client.BulkReply):
        body = _document(affected, errors, sum(reply.duration_ms for reply in replies))
    hint = " Name other states with --state." if action.default else ""
    _print_done(session, action, body, affected, errors, hint=hint)


def _wait(session: Session, reply: "BulkReply | BulkAccepted", draw: DrawProgress) -> "BulkReply":
    """Return the result of a request on ids, after the end of its operation if it has one."""
    if isinstance(reply, corvo_client.BulkReply):
        return reply
    ended = follow(session, reply.bulk_operation_id, draw)
    ended.check()
    value = ended.value
    duration = (value.finished_at or value.created_at) - value.created_at
    return corvo_client.BulkReply(
        affected=value.affected,
        errors=value.errors,
        duration_ms=round(duration.total_seconds() * 1000, 3),
    )


def _draw_from(draw: DrawProgress, start: int, total: int, done: int, _: int) -> None:
    """Draw the progress of one request of several: the ids before `start` are done."""
    draw(start + done, total)


def _print(
    session: Session, action: Action, reply: "Exact[BulkReply | BulkAccepted]", *, wait: bool
) -> None:
    value = reply.value
    if isinstance(value, corvo_client.BulkReply):
        _print_done(session, action, reply.body, value.affected, value.errors)
    elif wait:
        session.output.say(f"{value.bulk_operation_id} runs in the background.")
        ended = follow(session, value.bulk_operation_id)
        _print_done(session, action, ended.body, ended.value.affected, ended.value.errors)
        ended.check()
    else:
        if not session.output.is_json:
            session.output.lines([value.bulk_operation_id])
        session.output.done(
            reply.body, f"Follow it with `corvo bulk status {value.bulk_operation_id}`."
        )


def _print_done(
    session: Session, action: Action, body: bytes, affected: int, errors: int, *, hint: str = ""
) -> None:
    skipped = f" Skipped {errors:,}: missing, or in a state that does not allow it.{hint}"
    message = f"{action.done} {count(affected, 'job')}.{skipped if errors else ''}"
    session.output.done(body, message)


def _document(affected: int, errors: int, duration_ms: float) -> bytes:
    """Return the reply that the server would have sent to a single request."""
    members = {"affected": affected, "errors": errors, "duration_ms": duration_ms}
    return json.dumps(members, separators=(",", ":")).encode()


def _call(action: Action, **arguments: Any) -> "Call[BulkReply | BulkAccepted]":
    return corvo_client.calls.bulk(action.api, **arguments)  # type: ignore[arg-type]  # a known word
