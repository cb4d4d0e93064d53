"""Requests and replies about API keys: who may do what, on which queues."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from corvo_schema._base import ReplyModel, RequestModel
from corvo_schema.durations import Duration
from corvo_schema.fields import WHOLE, Label, member_of
from corvo_schema.timestamps import Timestamp

MAX_SCOPES = 64
"""Maximum number of queue patterns of a key."""
MAX_STARS = 8
"""Maximum number of stars in a queue pattern."""
MAX_KEY_LIMIT = 10**15
"""Largest value of a limit of a key."""

_GLOB_PATTERN = "^[A-Za-z0-9._:/*?-]{1,255}$"
_GLOB = re.compile(_GLOB_PATTERN)


class Role(StrEnum):
    """What a key may do. A key may have several roles."""

    ADMIN = "admin"
    """Everything, also with keys. Its queues cannot be limited."""
    OPERATOR = "operator"
    """See everything; steer queues, jobs, schedules and bulk operations."""
    PRODUCER = "producer"
    """Enqueue jobs; read jobs, batches and queues."""
    WORKER = "worker"
    """Fetch, ack, fail, release and heartbeat."""
    READONLY = "readonly"
    """See everything, change nothing."""


def _check_glob(glob: str) -> str:
    if not _GLOB.fullmatch(glob):
        raise ValueError(
            "must be 1 to 255 characters of a queue name, with * for any characters and ? for one, "
            "like emails.*"
        )
    if glob.count("*") > MAX_STARS:
        raise ValueError(f"must have at most {MAX_STARS} stars")
    return glob


QueueGlob = Annotated[
    str,
    AfterValidator(_check_glob),
    WithJsonSchema({"type": "string", "pattern": _GLOB_PATTERN}),
]
"""A pattern of queue names: `*` stands for any characters, `?` for one."""

RoleName = Annotated[Role, member_of(Role, has_default=False)]

KeyLimit = Annotated[int, Field(ge=1, le=MAX_KEY_LIMIT), WHOLE]


class ApiKeyRequest(RequestModel):
    """Body of `POST /auth/keys`. The queues of an admin cannot be limited."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"roles": {"contains": {"const": Role.ADMIN}}}},
            "then": {"properties": {"queues": {"type": "null"}}},
        }
    )

    name: Label = Field(description="Whom the key is for. No other valid key has this name.")
    roles: Annotated[list[RoleName], Field(min_length=1, max_length=len(Role))]
    queues: Annotated[list[QueueGlob], Field(min_length=1, max_length=MAX_SCOPES)] | None = Field(
        None,
        description="Patterns of the queues that the key may see and use, e.g. `emails.*`; null "
        "means all.",
    )
    expires_after: Duration | None = Field(
        None, description="How long the key is valid; null means until it is revoked."
    )
    max_rate: KeyLimit | None = Field(
        None,
        description="Requests a second that each server accepts with the key, on average; after a "
        "pause as many at once. Acks, fails, releases and heartbeats do not count. Null means no "
        "limit.",
    )
    max_waiting: KeyLimit | None = Field(
        None,
        description="Jobs enqueued with the key that may wait at once: scheduled, pending or "
        "retrying. Null means no limit.",
    )
    max_bytes: KeyLimit | None = Field(
        None,
        description="Bytes of the payloads of all stored jobs that were enqueued with the key, "
        "also of finished ones. Null means no limit.",
    )


class RotateKeyRequest(RequestModel):
    """Body of `POST /auth/keys/{key}/rotate`."""

    grace: Duration | None = Field(
        None, description="How long the old key stays valid; null means that it ends at once."
    )
    expires_after: Duration | None = Field(
        None,
        description="How long the new key is valid; null means for as long as the old one was "
        "made for.",
    )


class ApiKey(ReplyModel):
    """A key without its secret. `id` is the public part of its text, which logs may show."""

    id: str
    name: str
    roles: list[Annotated[Role | str, Field(union_mode="left_to_right")]]
    queues: list[str] | None = None
    created_at: Timestamp | None = None
    created_by: str | None = None
    expires_at: Timestamp | None = None
    last_used_at: Timestamp | None = Field(
        None, description="Time of a call with the key. It can be a minute late."
    )
    revoked_at: Timestamp | None = None
    max_rate: int | None = Field(None, description="Requests a second; null means no limit.")
    max_waiting: int | None = Field(None, description="Jobs that wait; null means no limit.")
    max_bytes: int | None = Field(None, description="Bytes of payloads; null means no limit.")
    valid: bool = True


class NewApiKey(ApiKey):
    """A key with its text, which is shown this once only."""

    key: str


class AuthStatus(ReplyModel):
    """What the caller of `GET /auth/status` may do."""

    required: bool = Field(
        description="Whether calls need a key. Without one, this server serves everybody."
    )
    authenticated: bool = Field(description="Whether this call had a valid key.")
    key: ApiKey | None = Field(None, description="The key of this call.")


class KeyStatusReply(ReplyModel):
    """Result of an action on a key: revoked."""

    status: str
