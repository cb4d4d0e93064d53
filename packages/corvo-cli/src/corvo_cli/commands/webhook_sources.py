"""`corvo webhooks sources` and its subcommands."""

from typing import TYPE_CHECKING, Any

import click

import corvo_client
from corvo_cli.command import Command, Group
from corvo_cli.parameters import SPAN, TAG, Choice
from corvo_cli.session import Session, pass_session
from corvo_cli.show.webhook_view import sources_view

if TYPE_CHECKING:
    from corvo_client import NewWebhookSource
    from corvo_client.calls import Exact

_FORMS = ["standard-webhooks", "github", "stripe", "token"]
_EXAMPLES = """
    corvo webhooks sources                                       list the sources
    corvo webhooks sources create github deploys --form github --tag-header event=X-GitHub-Event
    corvo webhooks sources rotate github --grace 1h
    corvo webhooks sources delete github
"""


@click.group(cls=Group, examples=_EXAMPLES, invoke_without_command=True)
@pass_session
def sources(session: Session) -> None:
    """Manage the sources whose signed requests become jobs. Without a command, lists them."""
    if click.get_current_context().invoked_subcommand is None:
        _list(session)


@sources.command("list", cls=Command, examples="corvo webhooks sources list --output json")
@pass_session
def list_sources(session: Session) -> None:
    """List the sources, without their secrets."""
    _list(session)


@sources.command(
    cls=Command,
    examples="""
    corvo webhooks sources create github deploys --form github
    corvo webhooks sources create gitlab deploys --form token --signature-header X-Gitlab-Token
    """,
)
@click.argument("name")
@click.argument("queue")
@click.option(
    "--form", type=Choice(_FORMS), default=_FORMS[0], help="How the sender signs its requests."
)
@click.option(
    "--secret-file",
    type=click.File(),
    help="The file with the secret that the sender has, - for stdin.  [default: a new secret]",
)
@click.option("--signature-header", metavar="HEADER", help="The header of the signature.")
@click.option("--id-header", metavar="HEADER", help="The header of the delivery's id.")
@click.option(
    "--tag-header",
    "tag_headers",
    type=TAG,
    multiple=True,
    metavar="TAG=HEADER",
    help="A tag of the jobs, and the header that it is taken from. May be repeated.",
)
@pass_session
def create(session: Session, /, name: str, queue: str, **options: Any) -> None:
    """Accept signed requests as jobs of a queue, and print the secret. It cannot be shown again.

    The sender calls POST /api/v1/webhooks/QUEUE. Repeats of a delivery make one job.
    """
    file = options.pop("secret_file")
    options["secret"] = None if file is None else file.read().strip()
    options["tag_headers"] = dict(options["tag_headers"])
    call = corvo_client.calls.create_webhook_source(name, queue, **options)
    _print_new(session, session.ask(call))


@sources.command(cls=Command, examples="corvo webhooks sources rotate github --grace 1h")
@click.argument("name")
@click.option(
    "--grace", type=SPAN, metavar="DURATION", help="The time for which both secrets are accepted."
)
@pass_session
def rotate(session: Session, name: str, grace: str | None) -> None:
    """Give a source a new secret, and print it."""
    _print_new(session, session.ask(corvo_client.calls.rotate_webhook_source(name, grace=grace)))


@sources.command(cls=Command, examples="corvo webhooks sources delete github")
@click.argument("name")
@pass_session
def delete(session: Session, name: str) -> None:
    """Delete a source. Its jobs stay."""
    reply = session.ask(corvo_client.calls.delete_webhook_source(name))
    session.output.done(reply.body, f"{name} is deleted.")


def _list(session: Session) -> None:
    reply = session.ask(corvo_client.calls.list_webhook_sources())
    if not (reply.value or session.output.is_json):
        session.output.say("There are no sources of webhooks.")
        return
    session.output.many(reply.body, lambda: sources_view(reply.value, session.now()))


def _print_new(session: Session, reply: "Exact[NewWebhookSource]") -> None:
    new = reply.value
    session.output.secret(
        reply.body,
        new.secret,
        f"{new.name} sends to POST /api/v1/webhooks/{new.queue} with this secret.",
    )
