"""Requests and replies of the search: filters (all must match), order, and pages by cursor."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from corvo_schema._base import ReplyModel, RequestModel
from corvo_schema.fields import (
    MAX_SEARCH_TEXT,
    WHOLE,
    Defaulted,
    Label,
    PriorityName,
    QueueName,
    SearchText,
    Tags,
    UniqueKey,
    member_of,
    text_json,
)
from corvo_schema.jobs import Job
from corvo_schema.states import JobState
from corvo_schema.timestamps import Timestamp

Expression = Annotated[SearchText, text_json(MAX_SEARCH_TEXT, format="corvo-jq")]
PageCursor = Annotated[SearchText, text_json(MAX_SEARCH_TEXT, format="corvo-cursor")]
Count = Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE]


class SortField(StrEnum):
    """Field by which a search is ordered. Equal jobs are in the order of enqueueing.

    `priority` is ordered by number, so `asc` starts with critical; `state` is ordered by name. Jobs
    without the time are last in both orders.
    """

    CREATED_AT = "created_at"
    SCHEDULED_AT = "scheduled_at"
    STARTED_AT = "started_at"
    COMPLETED_AT = "completed_at"
    FAILED_AT = "failed_at"
    PRIORITY = "priority"
    ATTEMPT = "attempt"
    QUEUE = "queue"
    STATE = "state"


class SortOrder(StrEnum):
    """Direction of an order."""

    ASC = "asc"
    DESC = "desc"


class ErrorScope(StrEnum):
    """Attempts of a job at which the filters `has_errors` and `error_contains` look.

    `last` is the attempt that ended last: a completed or active job then has no error.
    """

    ANY = "any"
    LAST = "last"


class SearchFilter(RequestModel):
    """Filters of a search. A job must match every given filter. Texts have no wildcards."""

    queue: QueueName | None = None
    state: Annotated[
        Defaulted[list[Annotated[JobState, member_of(JobState, has_default=False)]]],
        Field(strict=False),
    ] = Field(default_factory=list, description="Any of these states; empty: all states.")
    priority: PriorityName | None = None
    tags: Tags = Field(
        default_factory=dict, description="All of these tags, with exactly these values."
    )
    payload_contains: SearchText | None = Field(
        None, description="Text that the JSON of the payload contains."
    )
    payload_jq: Expression | None = Field(
        None, description="Condition on the payload, in a safe subset of jq."
    )
    created_after: Timestamp | None = None
    created_before: Timestamp | None = None
    scheduled_after: Timestamp | None = None
    scheduled_before: Timestamp | None = None
    started_after: Timestamp | None = None
    started_before: Timestamp | None = None
    completed_after: Timestamp | None = None
    completed_before: Timestamp | None = None
    failed_after: Timestamp | None = None
    failed_before: Timestamp | None = None
    expire_after: Timestamp | None = None
    expire_before: Timestamp | None = None
    attempt_min: Count | None = None
    attempt_max: Count | None = None
    unique_key: UniqueKey | None = None
    batch_id: Label | None = None
    worker_id: Label | None = None
    has_errors: bool | None = None
    error_contains: SearchText | None = None
    error_scope: Annotated[ErrorScope, member_of(ErrorScope)] = Field(
        ErrorScope.ANY, description="The attempts at which has_errors and error_contains look."
    )
    job_id_prefix: Label | None = None


class SearchRequest(SearchFilter):
    """Body of `POST /jobs/search`: filters, order and page."""

    sort: Annotated[SortField, member_of(SortField)] = SortField.CREATED_AT
    order: Annotated[SortOrder, member_of(SortOrder)] = SortOrder.DESC
    limit: Annotated[int, Field(ge=1, le=1000), WHOLE] = 50
    cursor: PageCursor | None = Field(None, description="Cursor of the previous page.")


class SearchReply(ReplyModel):
    """A page of jobs, the total number of matching jobs, and the cursor of the next page."""

    jobs: list[Job]
    total: int
    total_is_exact: bool = Field(
        True, description="False if counting took too long: `total` is then a lower bound."
    )
    cursor: str | None = None
    has_more: bool = False
    duration_ms: float = 0
