"""The composition root: the only module that connects the concrete parts of the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from sanic import Sanic
from sanic.http import Http

from corvo_server.engine.clock import MachineClock, SharedClock
from corvo_server.engine.engine import Engine
from corvo_server.http import (
    access_log,
    admin,
    attempts,
    audit,
    batches,
    bulk,
    docs,
    events,
    jobs,
    keys,
    metrics,
    middleware,
    queues,
    schedules,
    search,
    webhook_sources,
    webhooks,
)
from corvo_server.http.budgets import Budgets
from corvo_server.http.cross_site import Origins
from corvo_server.http.deadlines import Deadlines
from corvo_server.http.endpoint import App
from corvo_server.http.errors import install_error_handler
from corvo_server.http.fast_path import install_fast_path
from corvo_server.http.gate import Gate
from corvo_server.http.hosts import Hosts
from corvo_server.http.openapi import describe
from corvo_server.http.proxies import TrustedProxies
from corvo_server.http.request import AnyRequest
from corvo_server.http.router import NameRouter
from corvo_server.http.secure import Tls
from corvo_server.logs import write_requests
from corvo_server.services.bulk import BulkRunner
from corvo_server.services.expirer import Expirer
from corvo_server.services.key_watch import KeyWatch
from corvo_server.services.leader import LeaderServices
from corvo_server.services.opener import Opener
from corvo_server.services.prober import Prober
from corvo_server.services.promoter import Promoter
from corvo_server.services.pruner import Pruner
from corvo_server.services.reclaimer import Reclaimer
from corvo_server.services.reporter import Reporter
from corvo_server.services.scheduler import Scheduler
from corvo_server.services.service import Service
from corvo_server.services.webhook_deliveries import WebhookDeliveries
from corvo_server.services.webhook_feed import WebhookFeed
from corvo_server.settings import Settings, split_bind
from corvo_server.store.protocol import Store, UnusableStoreError
from corvo_server.store.sqlite import backup
from corvo_server.store.sqlite.store import SqliteStore

RESOURCES = (
    jobs.resource,
    search.resource,
    attempts.resource,
    batches.resource,
    bulk.resource,
    queues.resource,
    schedules.resource,
    events.resource,
    metrics.resource,
    keys.resource,
    audit.resource,
    webhooks.resource,
    webhook_sources.resource,
    admin.resource,
    admin.root,
    docs.resource,
)

FAST_HANDLERS = frozenset(
    {jobs.enqueue, jobs.enqueue_batch}
    | {endpoint.handler for endpoint in attempts.resource.endpoints}
)
"""Handlers of producers and workers. Their plain requests take the fast path."""

_LONGEST_POLL = 60
"""Maximum timeout of a fetch in seconds."""
_CHECK_INTERVAL = 10
"""Seconds between two checks of a connection. Sanic takes half of its shortest timeout."""
_numbers = count(1)


def open_store(settings: Settings) -> Store:
    """Open the store that the settings select. Raise `UnusableStoreError` if that fails."""
    if settings.postgres_url is None:
        return SqliteStore(
            settings.sqlite_dir,
            max_backlog=settings.max_backlog,
            max_backlog_bytes=settings.max_backlog_bytes,
            max_commit=settings.max_commit,
        )
    with needs_driver():
        from corvo_server.store.postgres.store import PostgresStore  # noqa: PLC0415 - an extra
    return PostgresStore(
        settings.postgres_url,
        schema=settings.database_schema,
        connections=settings.database_connections,
        listen_url=settings.database_listen_url,
        notify=settings.notify,
        max_backlog=settings.max_backlog,
        max_backlog_bytes=settings.max_backlog_bytes,
        max_commit=settings.max_commit,
    )


def check_store(settings: Settings) -> list[str]:
    """Check the database. Return one sentence per problem. Servers may run meanwhile."""
    if settings.postgres_url is None:
        return backup.check(settings.sqlite_dir)
    with needs_driver():
        from corvo_server.store.postgres.check import check  # noqa: PLC0415 - an extra
    return check(settings.postgres_url, settings.database_schema)


@contextmanager
def needs_driver() -> Iterator[None]:
    """Raise `DriverMissingError` if an import within the block finds no PostgreSQL driver."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise DriverMissingError from error


class DriverMissingError(UnusableStoreError):
    """Raised when the PostgreSQL driver is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "The PostgreSQL driver is not installed. Install it with: "
            "pip install 'corvo-server[postgres]'"
        )


def build_engine(settings: Settings, store: Store) -> Engine:
    """Return the engine over `store`. Requires a running event loop."""
    clock = SharedClock() if store.is_shared else MachineClock()
    return Engine(store, clock=clock, policy=settings.policy)


def build_services(settings: Settings, engine: Engine) -> list[Service]:
    """Return the background services of every node, and those that run on the leader only."""
    maintenance = engine.maintenance
    leader_services = [
        Promoter(maintenance),
        Reclaimer(maintenance),
        Expirer(maintenance),
        BulkRunner(engine.bulk),
        Scheduler(engine.schedules),
        Pruner(maintenance, settings.prune_interval / 1000),
        WebhookFeed(engine.webhooks, engine.events),
        WebhookDeliveries(engine.webhooks, engine.attempts, engine.wall, engine.nodes.id),
    ]
    reporters = [Reporter(engine.workers)] if engine.store.is_shared else []
    return [
        Opener(maintenance),
        *reporters,
        Prober(engine.store),
        KeyWatch(engine.keys),
        LeaderServices(engine.nodes, leader_services),
    ]


def build_http(
    settings: Settings, engine: Engine, deadlines: Deadlines | None = None, tls: Tls | None = None
) -> tuple[App, access_log.AccessLog]:
    """Return the HTTP application over `engine`, and its access log to flush at shutdown."""
    deadlines = deadlines or Deadlines()
    app = Sanic(
        f"corvo-{next(_numbers)}",
        request_class=AnyRequest,
        router=NameRouter(
            [
                *queues.resource.endpoints,
                *schedules.resource.endpoints,
                *webhooks.resource.endpoints,
            ]
        ),
        configure_logging=False,
        env_prefix="CORVO_SANIC_",
    )
    app.config.REQUEST_MAX_SIZE = settings.max_body_bytes
    # By default, Sanic allows heads as large as bodies. This limit applies to the whole process.
    Http.set_header_max_size(app.config.REQUEST_MAX_HEADER_SIZE)
    app.config.RESPONSE_TIMEOUT = _LONGEST_POLL + 30
    app.config.KEEP_ALIVE_TIMEOUT = int(deadlines.idle)
    app.config.REQUEST_TIMEOUT = 2 * _CHECK_INTERVAL
    app.ctx.deadlines = deadlines
    app.ctx.tls = tls
    if tls is not None:
        engine.metrics.tls_expires.set_function(lambda: tls.expires)
    app.ctx.proxies = TrustedProxies(settings.trusted_proxies)
    # Sanic's own settings for proxies trust every client.
    app.config.update({"FORWARDED_SECRET": None, "PROXIES_COUNT": None, "REAL_IP_HEADER": None})
    app.ctx.budgets = Budgets(settings.http_limits, engine.metrics)
    app.config.ACCESS_LOG = False
    app.config.FALLBACK_ERROR_FORMAT = "json"
    app.ctx.engine = engine
    app.ctx.openapi = describe(RESOURCES)
    for resource in RESOURCES:
        app.blueprint(resource.blueprint)
    install_error_handler(app)
    hosts = Hosts(split_bind(settings.bind)[0], settings.allowed_hosts)
    origins = Origins(settings.cors_origins)
    gate = Gate(
        engine.keys,
        [endpoint for resource in RESOURCES for endpoint in resource.endpoints],
        are_metrics_open=settings.open_metrics,
    )
    middleware.install_guard(app, hosts, origins, gate)
    install_fast_path(
        app,
        [
            endpoint
            for resource in RESOURCES
            for endpoint in resource.endpoints
            if endpoint.handler in FAST_HANDLERS
        ],
        hosts,
    )
    requests = access_log.AccessLog(write_requests)
    observers = [metrics.observer_of(engine.metrics)]
    if access_log.is_enabled():
        observers.append(requests.add)
    middleware.install_observers(app, observers, settings.hsts)
    if settings.cors_origins:
        middleware.install_cors(app, origins)
    return app, requests
