"""`corvo webhooks` and its subcommands."""

from typing import TYPE_CHECKING, Any

import click

import corvo_client
from corvo_cli.command import Command, Group
from corvo_cli.commands.webhook_sources import sources
from corvo_cli.parameters import SPAN, TAG
from corvo_cli.session import Session, pass_session
from corvo_cli.show.webhook_view import webhooks_view

if TYPE_CHECKING:
    from corvo_client import NewWebhook
    from corvo_client.calls import Exact

_EXAMPLES = """
    corvo webhooks                                               list the webhooks
    corvo webhooks create shop https://shop.example/corvo --queues 'orders.*' --type completed
    corvo webhooks set shop https://shop.example/corvo --disabled
    corvo webhooks rotate shop --grace 1d
    corvo webhooks delete shop
    corvo search --queue corvo.webhooks.shop --state dead        show what was given up
    corvo webhooks sources                                       list who may send you jobs
"""


@click.group(cls=Group, examples=_EXAMPLES, invoke_without_command=True)
@pass_session
def webhooks(session: Session) -> None:
    """Manage webhooks, which send events to URLs.

    Without a command, lists them. The commands need a key with the role admin. `sources` is about
    the other direction: requests of others that become jobs.
    """
    if click.get_current_context().invoked_subcommand is None:
        _list(session)


@webhooks.command("list", cls=Command, examples="corvo webhooks list --output json")
@pass_session
def list_webhooks(session: Session) -> None:
    """List the webhooks, without their secrets."""
    _list(session)


_QUEUES = click.option(
    "--queues",
    multiple=True,
    metavar="PATTERN",
    help="The queues whose events are sent. May be repeated.  [default: all]",
)
_TYPES = click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="The type of events, like completed or dead. May be repeated.  [default: all]",
)
_TAGS = click.option(
    "--tag",
    "tags",
    type=TAG,
    multiple=True,
    metavar="KEY=VALUE",
    help="Only events of jobs with this tag. May be repeated.",
)
_DISABLED = click.option(
    "--disabled", is_flag=True, help="Send nothing. What happens meanwhile is never sent."
)


@webhooks.command(
    cls=Command,
    examples="""
    corvo webhooks create shop https://shop.example/corvo
    corvo webhooks create shop https://shop.example/corvo --queues 'orders.*' --type completed
    """,
)
@click.argument("name")
@click.argument("url")
@_QUEUES
@_TYPES
@_TAGS
@_DISABLED
@pass_session
def create(session: Session, /, name: str, url: str, **options: Any) -> None:
    """Send events to a URL, and print the secret that signs them. It cannot be shown again.

    The requests are those of Standard Webhooks.
    """
    call = corvo_client.calls.create_webhook(name, url, **_settings(options))
    _print_new(session, session.ask(call))


@webhooks.command(
    "set", cls=Command, examples="corvo webhooks set shop https://shop.example/corvo --type dead"
)
@click.argument("name")
@click.argument("url")
@_QUEUES
@_TYPES
@_TAGS
@_DISABLED
@pass_session
def set_webhook(session: Session, /, name: str, url: str, **options: Any) -> None:
    """Replace all settings of a webhook, but not its secret."""
    call = corvo_client.calls.replace_webhook(name, url, **_settings(options))
    session.output.done(session.ask(call).body, f"{name} is changed.")


@webhooks.command(cls=Command, examples="corvo webhooks rotate shop --grace 1d")
@click.argument("name")
@click.option(
    "--grace", type=SPAN, metavar="DURATION", help="The time for which both secrets sign."
)
@pass_session
def rotate(session: Session, name: str, grace: str | None) -> None:
    """Give a webhook a new secret, and print it."""
    _print_new(session, session.ask(corvo_client.calls.rotate_webhook(name, grace=grace)))


@webhooks.command(cls=Command, examples="corvo webhooks delete shop")
@click.argument("name")
@pass_session
def delete(session: Session, name: str) -> None:
    """Delete a webhook. What was not sent yet is never sent."""
    reply = session.ask(corvo_client.calls.delete_webhook(name))
    session.output.done(reply.body, f"{name} is deleted.")


webhooks.add_command(sources)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "queues": options["queues"] or None,
        "types": options["types"] or None,
        "tags": dict(options["tags"]) or None,
        "enabled": not options["disabled"],
    }


def _list(session: Session) -> None:
    reply = session.ask(corvo_client.calls.list_webhooks())
    if not (reply.value or session.output.is_json):
        session.output.say("There are no webhooks.")
        return
    session.output.many(reply.body, lambda: webhooks_view(reply.value, session.now()))


def _print_new(session: Session, reply: "Exact[NewWebhook]") -> None:
    new = reply.value
    session.output.secret(reply.body, new.secret, f"This secret signs the requests of {new.name}.")
