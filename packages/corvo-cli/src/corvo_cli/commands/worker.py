"""`corvo worker`."""

import logging

import click

from corvo_cli.command import Command
from corvo_cli.objects import find_worker
from corvo_cli.session import Session, pass_session

_LEVELS = ["debug", "info", "warning", "error"]


@click.command(
    cls=Command,
    examples="""
    corvo worker app.tasks                            the only Worker of app/tasks.py
    corvo worker app.tasks:worker --concurrency 50
    corvo worker app:make_worker --queues emails,reports --server https://jobs.example.com
    """,
)
@click.argument("target", metavar="MODULE[:WORKER]")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many jobs to run at a time, whatever the code says.",
)
@click.option(
    "--queues", metavar="A,B", help="Which of the worker's queues to serve, first things first."
)
@click.option(
    "--log-level",
    type=click.Choice(_LEVELS),
    default="info",
    show_default=True,
    help="Least severity that is logged, on stderr.",
)
@pass_session
def worker(
    session: Session, target: str, concurrency: int | None, queues: str | None, log_level: str
) -> None:
    """Run a worker of your own code.

    WORKER is a corvo_client.worker.Worker, or a function that makes one; it may be left out where
    the module has only one. The current directory is on Python's path. A server that is named
    here, in the environment or by a profile replaces the one in the code.

    The first SIGTERM or SIGINT lets running jobs end; the second exits at once, and the jobs are
    handed to others when their leases have run out.
    """
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    settings = session.settings
    found = find_worker(target)
    chosen = None if queues is None else [name.strip() for name in queues.split(",")]
    unknown = [name for name in chosen or [] if name not in found.tasks]
    if unknown or not found.tasks:
        raise click.UsageError(f"The worker has no task for {', '.join(unknown) or 'any queue'}.")
    found.configure(
        server=settings.server if settings.is_server_chosen else None,
        api_key=settings.api_key,
        queues=chosen,
        concurrency=concurrency,
    )
    found.run()
