"""The engine: all verbs of the server over one store, and the reactions to each commit."""

from collections.abc import Sequence

from msgspec import Struct

from corvo_schema import IdFactory
from corvo_server.engine.attempts import Attempts
from corvo_server.engine.audit import AuditLog
from corvo_server.engine.batches import Batches
from corvo_server.engine.bulk import Bulk
from corvo_server.engine.clock import Clock, system_clock, wall_of
from corvo_server.engine.events import Events
from corvo_server.engine.jobs import Jobs
from corvo_server.engine.keys import Keys
from corvo_server.engine.maintenance import Maintenance, Retention
from corvo_server.engine.metrics import Metrics
from corvo_server.engine.nodes import Nodes
from corvo_server.engine.notifier import Notifier
from corvo_server.engine.payloads import SizeLimits
from corvo_server.engine.queues import Queues
from corvo_server.engine.redaction import Redaction
from corvo_server.engine.schedules import Schedules
from corvo_server.engine.search import Searches
from corvo_server.engine.webhook_sources import WebhookSources
from corvo_server.engine.webhooks import Webhooks
from corvo_server.engine.workers import Workers
from corvo_server.redaction.rules import Rule
from corvo_server.store.protocol import Store
from corvo_server.store.records import Commit, LeasedJob
from corvo_server.webhooks.addresses import Addresses

_DAY_MS = 86_400_000


class Policy(Struct, frozen=True):
    """The settings that decide what the engine does."""

    limits: SizeLimits = SizeLimits()
    default_lease_ms: int = 60_000
    max_fetch_bytes: int = 8 * 1024 * 1024
    """Largest total size of the documents of the jobs of one fetch, unless it gets a single job."""
    require_lease_tokens: bool = False
    """Whether attempts are fenced unless their fetch says otherwise."""
    webhook_allow: tuple[str, ...] = ()
    """Networks that webhooks may reach although they are not public."""
    redaction: Sequence[Rule] = ()
    """Rules that mark values of payloads as secret."""
    retention: Retention = Retention(
        completed=7 * _DAY_MS, dead=30 * _DAY_MS, events=7 * _DAY_MS, audit=90 * _DAY_MS
    )


class Engine:
    """All verbs, by resource. Requires a running event loop."""

    def __init__(
        self, store: Store, *, clock: Clock = system_clock, policy: Policy | None = None
    ) -> None:
        policy = policy or Policy()
        self.store = store
        self.clock = clock
        self.wall = wall_of(clock)
        self.notifier = Notifier(self._give_back)
        self.metrics = Metrics(store, self.notifier, self.wall)
        ids = IdFactory(clock)
        self.keys = Keys(store, clock)
        redaction = Redaction(policy.redaction)
        self.jobs = Jobs(store, clock, ids, redaction, max_payload_bytes=policy.limits.payload)
        self.workers = Workers(store, clock)
        self.attempts = Attempts(
            store,
            clock,
            self.notifier,
            self.workers,
            self.keys,
            default_lease_ms=policy.default_lease_ms,
            max_fetch_bytes=policy.max_fetch_bytes,
            require_lease_tokens=policy.require_lease_tokens,
            limits=policy.limits,
        )
        self.events = Events(store, self.keys, redaction)
        self.search = Searches(store, clock, redaction)
        self.bulk = Bulk(store, clock, ids, self.keys)
        self.queues = Queues(store, clock, self.bulk)
        self.batches = Batches(store)
        self.schedules = Schedules(
            store,
            clock,
            ids,
            self.workers,
            redaction,
            max_payload_bytes=policy.limits.payload,
        )
        self.maintenance = Maintenance(store, clock, self.notifier, self.metrics, policy.retention)
        self.audit = AuditLog(store)
        self.webhooks = Webhooks(store, clock, ids, Addresses(policy.webhook_allow), redaction)
        self.webhook_sources = WebhookSources(store, clock, self.jobs)
        self.is_closing = False
        self.nodes = Nodes(store, clock, self.notifier)
        store.on_enqueue(self.notifier.note_enqueue)
        store.on_commit(self._committed)
        self.keys.on_change(self._keys_changed)

    def start_closing(self) -> None:
        """Answer waiting fetches without a job and end streams; finish other requests."""
        self.is_closing = True
        self.notifier.close()
        self.bulk.close()
        self.events.close()

    async def check(self) -> None:
        """Raise `StoreUnavailable` if the store does not answer."""
        await self.store.check()

    async def check_ready(self) -> None:
        """Raise `StoreUnavailable` with the reason if the store does not answer or writes fail."""
        await self.store.check_ready()

    def _give_back(self, jobs: list[LeasedJob]) -> None:
        self.attempts.give_back(jobs)

    def _keys_changed(self) -> None:
        """End the streams and waiting fetches of callers whose keys have ended."""
        self.notifier.stop_unless(self.keys.is_valid)
        self.events.note_keys()
        self.bulk.note_keys()

    def _committed(self, commit: Commit) -> None:
        """React to a commit of any verb and any server: wake fetches, set alarms, count."""
        self.notifier.note_commit(commit)
        for at in commit.opens_at.values():
            self.maintenance.opening.bring_forward(at)
        self.maintenance.note(commit.next_times)
        self.schedules.alarm.bring_forward(commit.next_times.occurrence)
        if commit.has_bulk:
            self.bulk.work.set()
        if not commit.is_from_other_node:
            self.metrics.note(commit)
            self.nodes.note(commit)
        if commit.has_events:
            self.events.note(commit.events)
