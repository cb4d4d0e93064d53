"""Read the pages of a search and print each page as soon as it arrives."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import corvo_client
from corvo_cli import json_text
from corvo_cli.human import count
from corvo_cli.session import Session
from corvo_cli.show.job_table import job_table
from corvo_cli.show.output import Format

if TYPE_CHECKING:
    from corvo_client.calls import Exact
    from corvo_schema import SearchFilter, SearchReply

LARGEST_PAGE = 1000


class SearchQuery(NamedTuple):
    """The parameters of a search. `limit` is the maximum number of jobs; None means no limit."""

    filters: "SearchFilter | None"
    sort: str
    order: str
    limit: int | None
    cursor: str | None


def pages(session: Session, query: SearchQuery) -> "Iterator[Exact[SearchReply]]":
    """Yield pages until the limit is reached or no job is left."""
    left = query.limit
    cursor = query.cursor
    while True:
        size = LARGEST_PAGE if left is None else min(left, LARGEST_PAGE)
        call = corvo_client.calls.search(
            query.filters,
            sort=query.sort,  # type: ignore[arg-type]  # one of click's choices
            order=query.order,  # type: ignore[arg-type]
            limit=size,
            cursor=cursor,
        )
        page = session.ask(call)
        yield page
        cursor = page.value.cursor
        if left is not None:
            left -= len(page.value.jobs)
        if left == 0 or not page.value.has_more or cursor is None:
            return


def print_pages(session: Session, query: SearchQuery) -> "SearchReply":
    """Print all pages in the session's format and return the last page."""
    output = session.output
    found = pages(session, query)
    if output.format is Format.JSON:
        return _print_json(session, found, is_one=_fits_one_page(query))
    is_first = True
    for page in found:
        last = page.value
        texts = json_text.items(json_text.members(page.body.decode())["jobs"])
        if output.format is Format.JSONL:
            output.lines(texts)
        elif last.jobs:
            payloads = [json_text.members(text).get("payload", "") for text in texts]
            output.view([job_table(last.jobs, payloads, session.now(), has_titles=is_first)])
        is_first = False
    return last


def print_ids(session: Session, query: SearchQuery) -> "SearchReply":
    """Print the ids of the jobs on all pages, one per line, and return the last page."""
    for page in pages(session, query):
        last = page.value
        session.output.lines(job.id for job in last.jobs)
    return last


def matches(reply: "SearchReply") -> str:
    """Format the number of matching jobs: `12 jobs`, `at least 10,000 jobs`."""
    number = count(reply.total, "job")
    return number if reply.total_is_exact else f"at least {number}"


def _fits_one_page(query: SearchQuery) -> bool:
    return query.limit is not None and query.limit <= LARGEST_PAGE


def _print_json(
    session: Session, found: "Iterator[Exact[SearchReply]]", *, is_one: bool
) -> "SearchReply":
    """Print one page unchanged, or merge several pages into one object of the same form."""
    output = session.output
    page = next(found)
    if is_one:
        output.raw(page.body)
        return page.value
    output.write('{"jobs":[')
    separator = ""
    while True:
        for text in json_text.items(json_text.members(page.body.decode())["jobs"]):
            output.write(f"{separator}{text}")
            separator = ","
        following = next(found, None)
        if following is None:
            break
        page = following
    members = json_text.members(page.body.decode())
    rest = ",".join(f'"{name}":{text}' for name, text in members.items() if name != "jobs")
    output.write(f"],{rest}}}\n")
    return page.value
