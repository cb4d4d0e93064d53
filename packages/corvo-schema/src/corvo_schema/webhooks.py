"""Requests and replies about webhooks: events sent to URLs, and jobs from requests of others."""

import re
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema

from corvo_schema._base import ReplyModel, RequestModel
from corvo_schema.auth import QueueGlob
from corvo_schema.durations import Duration
from corvo_schema.fields import Defaulted, QueueName, Tags, member_of
from corvo_schema.states import EventType
from corvo_schema.timestamps import Timestamp

DELIVERY_QUEUES = "corvo.webhooks."
"""Start of the names of the queues of deliveries, which only the server itself uses."""
MAX_URL = 2048
MAX_PATTERNS = 64
"""Maximum number of queue patterns of a webhook."""
MAX_TAG_HEADERS = 16
"""Maximum number of headers that a source turns into tags."""

_NAME_PATTERN = "^[A-Za-z0-9_-]{1,64}$"
_NAME = re.compile(_NAME_PATTERN)
_HEADER_PATTERN = "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$"
_HEADER = re.compile(_HEADER_PATTERN)
_SECRET_PATTERN = "^[\\x21-\\x7e]{16,256}$"  # noqa: S105 - a pattern
_SECRET = re.compile(_SECRET_PATTERN)
_OF_KEYS = ("authorization", "x-api-key")


def delivery_queue(webhook: str) -> str:
    """Return the name of the queue with the deliveries of a webhook."""
    return DELIVERY_QUEUES + webhook


def is_delivery_queue(queue: str) -> bool:
    """Return whether a queue has deliveries of webhooks, so that no client may fill or serve it."""
    return queue.startswith(DELIVERY_QUEUES)


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("must be 1 to 64 characters from A-Z a-z 0-9 _ -")
    return name


def _check_url(url: str) -> str:
    expected = f"must be an http or https URL of at most {MAX_URL} characters, in ASCII"
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(expected)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{expected}, with a port from 1 to 65535") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError(expected)
    if parts.username is not None or parts.password is not None:
        raise ValueError("must have no user and password; receivers check the signature instead")
    if parts.fragment:
        raise ValueError("must have no fragment (#…): it is never sent")
    return url


def _check_header(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ValueError("must be the name of a header: 1 to 64 letters, digits or hyphens")
    if name.lower() in _OF_KEYS:
        raise ValueError("must be another header than Authorization and X-API-Key, of API keys")
    return name.lower()


def _check_secret(secret: str) -> str:
    if not _SECRET.fullmatch(secret):
        raise ValueError("must be 16 to 256 visible ASCII characters")
    return secret


WebhookName = Annotated[
    str,
    AfterValidator(_check_name),
    WithJsonSchema({"type": "string", "pattern": _NAME_PATTERN}),
]
WebhookUrl = Annotated[
    str,
    AfterValidator(_check_url),
    WithJsonSchema({"type": "string", "format": "uri", "maxLength": MAX_URL}),
]
HeaderName = Annotated[
    str,
    AfterValidator(_check_header),
    WithJsonSchema({"type": "string", "pattern": _HEADER_PATTERN}),
]
WebhookSecret = Annotated[
    str,
    AfterValidator(_check_secret),
    WithJsonSchema({"type": "string", "pattern": _SECRET_PATTERN}),
]


class WebhookSettings(RequestModel):
    """Body of `PUT /webhooks/{name}`: where the events go, and which ones."""

    url: WebhookUrl = Field(description="Where each event is sent, with POST.")
    queues: Annotated[list[QueueGlob], Field(min_length=1, max_length=MAX_PATTERNS)] | None = Field(
        None, description="Patterns of queues, e.g. `emails.*`; null means all queues."
    )
    types: (
        Annotated[
            list[Annotated[EventType, member_of(EventType, has_default=False)]],
            Field(min_length=1, max_length=len(EventType)),
        ]
        | None
    ) = Field(None, description="Types of events, e.g. `completed`; null means all types.")
    tags: Tags | None = Field(
        None, description="Only events of jobs that have these tags when the event is handled."
    )
    enabled: Defaulted[bool] = Field(
        True,
        description="False: events that happen meanwhile are not delivered, and deliveries wait.",
    )


class WebhookRequest(WebhookSettings):
    """Body of `POST /webhooks`."""

    name: WebhookName
    secret: WebhookSecret | None = Field(
        None,
        description="`whsec_` and base64 of 24 to 64 bytes, for a receiver that has one; null "
        "makes a new one.",
    )


class RotateSecretRequest(RequestModel):
    """Body of `POST /webhooks/{name}/rotate` and `POST /webhook-sources/{name}/rotate`."""

    secret: WebhookSecret | None = Field(None, description="New secret; null makes one.")
    grace: Duration | None = Field(
        None, description="How long the old secret is used as well; null means not at all."
    )


class Webhook(ReplyModel):
    """A subscription: events of the log that match are sent to its URL, signed with its secret."""

    name: str
    url: str
    queues: list[str] | None = None
    types: list[str] | None = None
    tags: dict[str, str] | None = None
    enabled: bool = True
    disabled_reason: str | None = Field(
        None, description="Why the server has disabled it: its receiver answered 410 (Gone)."
    )
    delivery_queue: str = Field(
        "", description="The queue with its deliveries. Those that were given up are dead jobs."
    )
    created_at: Timestamp | None = None
    created_by: str | None = None
    updated_at: Timestamp | None = None
    old_secret_until: Timestamp | None = Field(
        None, description="Until then, requests are signed with the old secret as well."
    )


class NewWebhook(Webhook):
    """A webhook with its secret, which is shown this once only."""

    secret: str


class SignatureForm(StrEnum):
    """How the requests of a source are signed."""

    STANDARD = "standard-webhooks"
    """`webhook-signature` over id, timestamp and body."""
    GITHUB = "github"
    """`X-Hub-Signature-256`: HMAC-SHA256 of the body."""
    STRIPE = "stripe"
    """`Stripe-Signature`: HMAC-SHA256 of timestamp and body."""
    TOKEN = "token"  # noqa: S105 - a word
    """The secret itself in a header, as GitLab sends it."""


class WebhookSourceRequest(RequestModel):
    """Body of `POST /webhook-sources`."""

    name: WebhookName
    queue: QueueName = Field(description="The queue of its jobs: POST /api/v1/webhooks/{queue}.")
    form: Annotated[SignatureForm, member_of(SignatureForm)] = SignatureForm.STANDARD
    secret: WebhookSecret | None = Field(
        None, description="The secret that the sender has; null makes one for it."
    )
    signature_header: HeaderName | None = Field(
        None, description="Header of the signature or token; null means that of the form."
    )
    id_header: HeaderName | None = Field(
        None,
        description="Header of the delivery's id. Null means webhook-id; for github "
        "x-github-delivery; for stripe the field `id` of the body.",
    )
    tag_headers: Defaulted[Annotated[dict[str, HeaderName], Field(max_length=MAX_TAG_HEADERS)]] = (
        Field(
            default_factory=dict,
            description="Tags of the jobs: the header that each tag is taken from.",
        )
    )


class WebhookSource(ReplyModel):
    """A sender whose signed requests become jobs of a queue."""

    name: str
    queue: str
    form: str
    signature_header: str | None = None
    id_header: str | None = None
    tag_headers: dict[str, str] = Field(default_factory=dict)
    created_at: Timestamp | None = None
    created_by: str | None = None
    updated_at: Timestamp | None = None
    old_secret_until: Timestamp | None = Field(
        None, description="Until then, the old secret is accepted as well."
    )


class NewWebhookSource(WebhookSource):
    """A source with its secret, which is shown this once only."""

    secret: str


class WebhookStatusReply(ReplyModel):
    """Result of an action on a webhook or a source: deleted."""

    status: str
