"""Records of webhooks that the engine and a store exchange. Times are in ms since the epoch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from corvo_server.store.audit import Audit
from corvo_server.store.records import NewJob, Refusal


class Hook(Struct, frozen=True, kw_only=True):
    """What webhooks and sources have in common."""

    name: str
    secret: str
    created_at: int
    created_by: str
    updated_at: int
    old_secret: str | None = None
    old_secret_until: int | None = None

    def secrets(self, now: int) -> list[str]:
        """Return the secrets that are in use at `now`, the newest first."""
        old, until = self.old_secret, self.old_secret_until
        return [self.secret] if old is None or until is None or until <= now else [self.secret, old]


class WebhookRecord(Hook, frozen=True, kw_only=True):
    """A subscription: which events are sent to which URL. Its secret signs them."""

    id: str
    """Differs from that of an earlier webhook with this name."""
    url: str
    queues: tuple[str, ...] | None
    """Patterns of queues; None means all."""
    types: tuple[str, ...] | None
    tags: dict[str, str] | None
    is_enabled: bool = True
    disabled_reason: str | None = None


class SourceRecord(Hook, frozen=True, kw_only=True):
    """A sender whose signed requests become jobs of a queue."""

    queue: str
    form: str
    signature_header: str | None
    id_header: str | None
    tag_headers: dict[str, str]


R = TypeVar("R", bound=Hook)


class StoredWebhook(Struct, frozen=True):
    """A webhook, and the id of the last event that it has handled."""

    record: WebhookRecord
    position: int


class HookChange(Struct, Generic[R], frozen=True):
    """A rule's decision: the record to store, or None to delete the one with the name."""

    name: str
    after: R | None
    position: int | None = None
    """New position of a webhook; None leaves it as it is."""


class HookEdit(Struct, Generic[R], frozen=True):
    """A request to change one webhook or source by a rule, which sees all of that kind."""

    kind: type[R]
    decide: Callable[[Mapping[str, R]], HookChange[R] | Refusal]
    """The pure rule with its request bound in. It gets the stored records by name."""
    audit: Audit | None = None
    """What the audit log records of the call; None for a change by the server itself."""


class Deliveries(Struct, frozen=True):
    """A request to enqueue the deliveries of events, and to move the webhooks past these."""

    expected: Mapping[str, int]
    """Stored position of each webhook, by name. If one differs, nothing is done."""
    position: int
    """The id of the last event that they have handled then."""
    jobs: Sequence[NewJob]
