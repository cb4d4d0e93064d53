"""Calls for searches and bulk operations."""

from collections.abc import Iterable, Mapping
from typing import Any

from corvo_client._call import API, Call
from corvo_client._codec import build, encode, reader, segment
from corvo_client._options import (
    AnyAction,
    AnyPriority,
    AnySortField,
    AnySortOrder,
    AnyStates,
    SearchFilters,
)
from corvo_client._stream import Stream
from corvo_schema import (
    BulkAccepted,
    BulkOperation,
    BulkReply,
    BulkRequest,
    SearchFilter,
    SearchReply,
    SearchRequest,
)

RETRIED = ("cancelled", "dead")
"""States of the jobs that a bulk retry takes if no state is named: not those that succeeded."""

_read_page = reader(SearchReply)
# The two models have no member in common, so only the right one fits.
_read_bulk: Any = reader(BulkReply | BulkAccepted)  # type: ignore[arg-type] # a union, not a class
_read_operation = reader(BulkOperation)
_read_operations = reader(list[BulkOperation])


def search_filter(members: Mapping[str, Any]) -> SearchFilter:
    """Return the filters of these members, e.g. of a JSON object. Raises `ValidationFailed`."""
    given = {name: value for name, value in members.items() if value is not None}
    if "state" in given:
        given["state"] = _listed(given["state"])
    return build(SearchFilter, given)


def search(
    filters: SearchFilters | SearchFilter | None = None,
    *,
    sort: AnySortField | None = None,
    order: AnySortOrder | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[SearchReply]:
    """Return the call that reads one page of the matching jobs. Raises `ValidationFailed`."""
    page = {"sort": sort, "order": order, "limit": limit, "cursor": cursor}
    members = _members(filters or {}) | {k: v for k, v in page.items() if v is not None}
    body = encode(build(SearchRequest, members))
    return Call("POST", f"{API}/jobs/search", _read_page, body, repeatable=True)


def bulk(
    action: AnyAction,
    *,
    job_ids: Iterable[str] | None = None,
    filters: SearchFilters | SearchFilter | None = None,
    states: AnyStates | None = None,
    move_to_queue: str | None = None,
    priority: AnyPriority | None = None,
    in_background: bool = False,
) -> Call[BulkReply | BulkAccepted]:
    """Return the call of a bulk operation on jobs given by `job_ids` or `filters`, not both.

    Only jobs in one of `states` change. The default of `retry` is dead and cancelled jobs, unless
    the filters name a state. Raises `ValidationFailed`.
    """
    members: dict[str, Any] = {
        "action": action,
        "move_to_queue": move_to_queue,
        "priority": priority,
    }
    members = {name: value for name, value in members.items() if value is not None}
    if job_ids is not None:
        members["job_ids"] = list(job_ids)
    if filters is not None:
        members["filter"] = _members(filters)
    if states is not None:
        members["states"] = _listed(states)
    elif action == "retry" and filters is None:
        members["states"] = [*RETRIED]
    elif action == "retry" and not members["filter"].get("state"):
        # A filter, because jobs that do not match it do not count as skipped.
        members["filter"]["state"] = [*RETRIED]
    if in_background:
        members["async"] = True
    return Call("POST", f"{API}/jobs/bulk", _read_bulk, encode(build(BulkRequest, members)))


def list_bulk() -> Call[list[BulkOperation]]:
    """Return the call that lists the bulk operations in the background."""
    return Call("GET", f"{API}/bulk", _read_operations, repeatable=True)


def get_bulk(bulk_id: str) -> Call[BulkOperation]:
    """Return the call that reads a bulk operation."""
    return Call("GET", _path(bulk_id), _read_operation, repeatable=True)


def cancel_bulk(bulk_id: str) -> Call[BulkOperation]:
    """Return the call that cancels a bulk operation."""
    return Call("POST", f"{_path(bulk_id)}/cancel", _read_operation)


def follow_bulk(bulk_id: str) -> Stream[BulkOperation]:
    """Return the progress stream of a bulk operation. It does not end by itself."""
    return Stream(f"{_path(bulk_id)}/progress", _read_operation)


def _members(filters: Mapping[str, Any] | SearchFilter) -> dict[str, Any]:
    if isinstance(filters, SearchFilter):
        filters = filters.model_dump(exclude_unset=True)
    members = {name: value for name, value in filters.items() if value is not None}
    if "state" in members:
        members["state"] = _listed(members["state"])
    if not members.keys().isdisjoint({"has_errors", "error_contains"}):
        # Without the field, a server looks at the errors of all attempts.
        members.setdefault("error_scope", "last")
    if isinstance(members.get("tags"), Mapping):
        members["tags"] = dict(members["tags"])
    return members


def _listed(states: object) -> object:
    """Return states as a list. The request model refuses what cannot be one."""
    if isinstance(states, str):
        return [states]
    return list(states) if isinstance(states, Iterable) else states


def _path(bulk_id: str) -> str:
    return f"{API}/bulk/{segment(bulk_id)}"
