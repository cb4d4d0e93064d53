"""The composition root: the only place that knows which parts the server is made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from sanic import Sanic
from sanic.http import Http

from corvo_server.engine.clock import SharedClock, system_clock
from corvo_server.engine.engine import Engine
from corvo_server.http import (
    access_log,
    admin,
    attempts,
    batches,
    bulk,
    docs,
    events,
    jobs,
    metrics,
    middleware,
    queues,
    schedules,
    search,
)
from corvo_server.http.endpoint import App
from corvo_server.http.errors import install_error_handler
from corvo_server.http.fast_path import install_fast_path
from corvo_server.http.openapi import describe
from corvo_server.http.request import AnyRequest
from corvo_server.logs import write_requests
from corvo_server.services.bulk import BulkRunner
from corvo_server.services.expirer import Expirer
from corvo_server.services.leader import LeaderServices
from corvo_server.services.opener import Opener
from corvo_server.services.promoter import Promoter
from corvo_server.services.pruner import Pruner
from corvo_server.services.reclaimer import Reclaimer
from corvo_server.services.scheduler import Scheduler
from corvo_server.services.service import Service
from corvo_server.settings import Settings
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
    admin.resource,
    admin.root,
    docs.resource,
)

PASSED_BY_JOBS = frozenset(
    {jobs.enqueue, jobs.enqueue_batch}
    | {endpoint.handler for endpoint in attempts.resource.endpoints}
)
"""The endpoints that every job goes through: their plain requests go the short way."""

_LONGEST_POLL = 60
_numbers = count(1)


def open_store(settings: Settings) -> Store:
    """The store that the settings name. Raises `UnusableStoreError`."""
    if settings.postgres_url is None:
        return SqliteStore(
            settings.sqlite_dir, max_backlog=settings.max_backlog, max_commit=settings.max_commit
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
        max_commit=settings.max_commit,
    )


def check_store(settings: Settings) -> list[str]:
    """What is wrong with the database, as sentences. Servers may go on meanwhile."""
    if settings.postgres_url is None:
        return backup.check(settings.sqlite_dir)
    with needs_driver():
        from corvo_server.store.postgres.check import check  # noqa: PLC0415 - an extra
    return check(settings.postgres_url, settings.database_schema)


@contextmanager
def needs_driver() -> Iterator[None]:
    """Say what to install where an import fails because it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise DriverMissingError from error


class DriverMissingError(UnusableStoreError):
    """What it takes to talk to PostgreSQL is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "The driver for PostgreSQL is not installed. Get it with "
            "pip install 'corvo-server[postgres]'."
        )


def build_engine(settings: Settings, store: Store) -> Engine:
    """The engine over `store`. Needs the running event loop."""
    clock = SharedClock() if store.is_shared else system_clock
    return Engine(store, clock=clock, policy=settings.policy)


def build_services(settings: Settings, engine: Engine) -> list[Service]:
    """The background loops: one for the fetches that wait here, the others where the lead is."""
    maintenance = engine.maintenance
    of_the_leader = [
        Promoter(maintenance),
        Reclaimer(maintenance),
        Expirer(maintenance),
        BulkRunner(engine.bulk),
        Scheduler(engine.schedules),
        Pruner(maintenance, settings.prune_interval / 1000),
    ]
    return [Opener(maintenance), LeaderServices(engine.nodes, of_the_leader)]


def build_http(settings: Settings, engine: Engine) -> tuple[App, access_log.AccessLog]:
    """The HTTP application in front of `engine`, and the log to flush when it ends."""
    app = Sanic(
        f"corvo-{next(_numbers)}",
        request_class=AnyRequest,
        configure_logging=False,
        env_prefix="CORVO_SANIC_",
    )
    app.config.REQUEST_MAX_SIZE = settings.max_body_bytes
    # Sanic bounds heads by the largest body, in all the process by that of its latest application.
    Http.set_header_max_size(app.config.REQUEST_MAX_HEADER_SIZE)
    app.config.RESPONSE_TIMEOUT = _LONGEST_POLL + 30
    app.config.KEEP_ALIVE_TIMEOUT = 120
    app.config.ACCESS_LOG = False
    app.config.FALLBACK_ERROR_FORMAT = "json"
    app.ctx.engine = engine
    app.ctx.openapi = describe(RESOURCES)
    for resource in RESOURCES:
        app.blueprint(resource.blueprint)
    install_error_handler(app)
    install_fast_path(
        app,
        [
            endpoint
            for resource in RESOURCES
            for endpoint in resource.endpoints
            if endpoint.handler in PASSED_BY_JOBS
        ],
    )
    requests = access_log.AccessLog(write_requests)
    observers = [metrics.observer_of(engine.metrics)]
    if access_log.is_wanted():
        observers.append(requests.add)
    middleware.install_observers(app, observers)
    middleware.install_cors(app, settings.cors_origins)
    return app, requests
