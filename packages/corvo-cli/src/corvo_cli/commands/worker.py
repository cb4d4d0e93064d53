"""`corvo worker`."""

import os

import click

from corvo_cli.command import Command
from corvo_cli.objects import find_worker
from corvo_cli.parameters import Choice, NumberType
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
    type=NumberType(min=1),
    metavar="N",
    help="The maximum number of jobs to run at a time. Overrides the value in the code.",
)
@click.option(
    "--queues",
    metavar="A,B",
    help="The queues to fetch from, most important first.  [default: all queues with a task]",
)
@click.option(
    "--log-level",
    type=Choice(_LEVELS),
    default="info",
    show_default=True,
    help="The minimum level of log messages on stderr, if the code configures no logging.",
)
@pass_session
def worker(
    session: Session, target: str, concurrency: int | None, queues: str | None, log_level: str
) -> None:
    """Run a worker with your own code.

    WORKER is a corvo_client.worker.Worker, or a function that returns one. It can be omitted if
    the module has only one. The current directory is on Python's path.

    The worker and its tasks use the server of --server or --profile, else the server in the code,
    else CORVO_SERVER, else the default profile. The keys of --codec are for workers, tasks and
    clients whose code names no codec.

    The first SIGTERM or SIGINT stops fetching and waits for running jobs. The second exits at
    once; other workers get the jobs after their leases have expired.
    """
    settings = session.settings
    if settings.is_server_chosen:
        # For clients and tasks in the code that name no server, also in processes of handlers.
        os.environ["CORVO_SERVER"] = settings.server
    if settings.ca is not None:
        os.environ["CORVO_CA_FILE"] = settings.ca
    if settings.codec:
        # For all whose code names no codec, also in processes of handlers.
        for name in ("CORVO_CODEC_KEYS", "CORVO_CODEC_KEYS_FILE"):
            os.environ.pop(name, None)
        os.environ.update(settings.codec)
    found = find_worker(target)
    chosen = None if queues is None else [name.strip() for name in queues.split(",")]
    unknown = [name for name in chosen or [] if name not in found.tasks]
    if unknown or not found.tasks:
        known = ", ".join(found.tasks) or "none"
        raise click.UsageError(
            f"The worker has no task for {', '.join(unknown) or 'any queue'}. Its tasks: {known}."
        )
    found.configure(queues=chosen, concurrency=concurrency)
    source = settings.server_source
    is_from_profile = settings.is_server_chosen and source != "CORVO_SERVER"
    if settings.is_server_option or (is_from_profile and found.server is None):
        found.configure(server=settings.server, api_key=settings.api_key, source=source)
    elif session.flags.api_key or session.flags.api_key_file:
        found.configure(api_key=settings.api_key)
    found.run(log_level=log_level.upper())
