"""The dry run of a bulk action, and the confirmation before it runs."""

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import click

import corvo_client
from corvo_cli import json_text
from corvo_cli.bulk.actions import Action
from corvo_cli.bulk.selection import Selection, check_queue
from corvo_cli.exits import ExitCode, Failure
from corvo_cli.human import count
from corvo_cli.session import Session
from corvo_cli.show.job_table import job_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corvo_client import Job, SearchFilter
    from corvo_client.calls import Exact

_SHOWN = 10
_IDS_AT_ONCE = 500
"""Maximum number of ids per request for full jobs, which include payloads."""


class Preview(NamedTuple):
    """The numbers of selected and of eligible jobs, and the first eligible jobs."""

    matched: int
    eligible: int
    jobs: "list[Job]"
    payloads: list[str]


def preview(session: Session, action: Action, selection: Selection) -> Preview:
    """Count the selected jobs, and the jobs whose state allows the action."""
    if selection.job_ids is not None:
        return _preview_ids(session, action, selection)
    filters = selection.filters or corvo_client.SearchFilter()
    matched = _search(session, filters, 1).value.total
    wanted: list[str] = [*filters.state] or sorted(action.states)
    allowed = [name for name in wanted if name in action.states]
    if not allowed:
        return Preview(matched, 0, [], [])
    page = _search(session, filters.model_copy(update={"state": allowed}), _SHOWN)
    texts = json_text.items(json_text.members(page.body.decode())["jobs"])
    return Preview(matched, page.value.total, page.value.jobs, _payloads(texts))


def show(session: Session, action: Action, selection: Selection) -> None:
    """Print what the action would do, without doing it."""
    found = preview(session, action, selection)
    if found.matched == 0:
        check_queue(session, selection)
    output = session.output
    if output.is_json:
        document = {
            "dry_run": True,
            "action": action.api,
            "matched": found.matched,
            "eligible": found.eligible,
        }
        output.raw(json.dumps(document).encode())
        return
    if found.jobs:
        output.view([job_table(found.jobs, found.payloads, session.now())])
    more = found.eligible - len(found.jobs)
    shown = f" and {more:,} more" if more > 0 and found.jobs else ""
    ineligible = found.matched - found.eligible
    rest = f" The state of {ineligible:,} does not allow it." if ineligible > 0 else ""
    output.say(
        f"Would {action.verb} {count(found.eligible, 'job')}"
        + (f": those above{shown}." if found.jobs else ".")
        + f"{rest} Nothing was changed."
    )


def confirm(session: Session, action: Action, selection: Selection) -> None:
    """Ask whether to run the action. Raises `Failure` if the answer is no."""
    if selection.job_ids is not None:
        number = count(len(selection.job_ids), "job")
    else:
        total = _search(session, selection.filters, 1).value.total
        if total == 0:
            check_queue(session, selection)
        number = count(total, "job")
    question = f"{action.verb.capitalize()} {number} {selection}?"
    try:
        is_confirmed = click.confirm(question, err=True)
    except click.Abort:
        is_confirmed = False
    if not is_confirmed:
        raise Failure("Not confirmed. Nothing was changed.", ExitCode.ERROR)


def _preview_ids(session: Session, action: Action, selection: Selection) -> Preview:
    allowed = action.states & frozenset(selection.states or action.states)
    matched = eligible = 0
    jobs: list[Job] = []
    payloads: list[str] = []
    for reply in _replies(session, list(selection.job_ids or ())):
        texts = json_text.items(json_text.members(reply.body.decode())["jobs"])
        for job, text in zip(reply.value.jobs, texts, strict=True):
            matched += 1
            if job.state in allowed:
                eligible += 1
                if len(jobs) < _SHOWN:
                    jobs.append(job)
                    payloads += _payloads([text])
    return Preview(matched, eligible, jobs, payloads)


def _replies(session: Session, job_ids: list[str]) -> "Iterator[Exact[Any]]":
    """Yield the jobs with these ids, in as many replies as their sizes need."""
    at_once = _IDS_AT_ONCE
    while job_ids:
        try:
            reply = session.ask(corvo_client.calls.bulk_get(job_ids[:at_once]))
        except corvo_client.PayloadTooLarge:
            if at_once == 1:
                raise
            at_once //= 2
        else:
            yield reply
            job_ids = job_ids[at_once:]


def _search(session: Session, filters: "SearchFilter | None", limit: int) -> "Exact[Any]":
    return session.ask(corvo_client.calls.search(filters, limit=limit))


def _payloads(texts: list[str]) -> list[str]:
    return [json_text.members(text).get("payload", "") for text in texts]
