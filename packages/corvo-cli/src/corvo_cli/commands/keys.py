"""`corvo keys` and its subcommands."""

from typing import TYPE_CHECKING

import click

import corvo_client
from corvo_cli.command import Command, Group
from corvo_cli.parameters import SPAN, Choice, NumberType
from corvo_cli.session import Session, pass_session
from corvo_cli.show.key_view import keys_view, status_view

if TYPE_CHECKING:
    from corvo_client import NewApiKey
    from corvo_client.calls import Exact

_LIMIT = NumberType(1)
_ROLES = ["admin", "operator", "producer", "worker", "readonly"]
_EXAMPLES = """
    corvo keys                                                    list the keys
    corvo keys create web --role producer --queues 'emails.*'
    corvo keys create ops --role operator --expires 90d
    corvo keys rotate web --grace 1d
    corvo keys revoke web
    corvo keys status                                             show what your own key may do
"""


@click.group(cls=Group, examples=_EXAMPLES, invoke_without_command=True)
@pass_session
def keys(session: Session) -> None:
    """Manage API keys.

    Without a command, lists them. KEY is the id or the name of a key. All commands but `status`
    need a key with the role admin.
    """
    if click.get_current_context().invoked_subcommand is None:
        _list(session)


@keys.command("list", cls=Command, examples="corvo keys list --output json")
@pass_session
def list_keys(session: Session) -> None:
    """List the keys, also revoked and expired ones."""
    _list(session)


@keys.command(
    cls=Command,
    examples="""
    corvo keys create web --role producer --queues 'emails.*'
    corvo keys create ops --role operator --expires 90d
    corvo keys create tenant-a --role producer --queues 'a.*' --max-rate 50 --max-waiting 10000
    """,
)
@click.argument("name")
@click.option(
    "--role",
    "roles",
    type=Choice(_ROLES),
    multiple=True,
    required=True,
    help="What the key may do. May be repeated.",
)
@click.option(
    "--queues",
    multiple=True,
    metavar="PATTERN",
    help="The queues that the key may see and use. May be repeated.  [default: all]",
)
@click.option(
    "--expires", type=SPAN, metavar="DURATION", help="The time after which the key is not valid."
)
@click.option(
    "--max-rate", type=_LIMIT, metavar="N", help="Requests a second.  [default: no limit]"
)
@click.option(
    "--max-waiting",
    type=_LIMIT,
    metavar="N",
    help="Jobs enqueued with the key that may wait at once.  [default: no limit]",
)
@click.option(
    "--max-bytes",
    type=_LIMIT,
    metavar="N",
    help="Bytes of the payloads of all stored jobs enqueued with the key.  [default: no limit]",
)
@pass_session
def create(
    session: Session,
    /,
    name: str,
    roles: tuple[str, ...],
    queues: tuple[str, ...],
    expires: str | None,
    **limits: int | None,
) -> None:
    """Create a key, and print it alone on stdout. It cannot be shown again.

    From the first key on, every call needs one. The first key has the role admin.
    """
    call = corvo_client.calls.create_key(
        name, roles=roles, queues=queues or None, expires_after=expires, **limits
    )
    _print_new(session, session.ask(call))


@keys.command(cls=Command, examples="corvo keys rotate web --grace 1d")
@click.argument("key")
@click.option(
    "--grace", type=SPAN, metavar="DURATION", help="The time for which the old key stays valid."
)
@click.option(
    "--expires",
    type=SPAN,
    metavar="DURATION",
    help="The time after which the new key is not valid.  [default: as long as the old one]",
)
@pass_session
def rotate(session: Session, key: str, grace: str | None, expires: str | None) -> None:
    """Replace a key by a new one with its name and rights, and print that alone on stdout."""
    call = corvo_client.calls.rotate_key(key, grace=grace, expires_after=expires)
    _print_new(session, session.ask(call))


@keys.command(cls=Command, examples="corvo keys revoke web")
@click.argument("key")
@pass_session
def revoke(session: Session, key: str) -> None:
    """Revoke a key. It ends within a second.

    A name revokes all valid keys with that name. The last valid key of an admin stays.
    """
    reply = session.ask(corvo_client.calls.revoke_key(key))
    session.output.done(reply.body, f"{key} is revoked.")


@keys.command(cls=Command, examples="corvo keys status")
@pass_session
def status(session: Session) -> None:
    """Show whether the server needs keys, and what your own key may do."""
    reply = session.ask(corvo_client.calls.auth_status())
    session.output.one(reply.body, lambda: status_view(reply.value, session.now()))


def _list(session: Session) -> None:
    reply = session.ask(corvo_client.calls.list_keys())
    if not (reply.value or session.output.is_json):
        session.output.say(
            "There are no keys: the server serves everybody. Make the first one with "
            "`corvo keys create admin --role admin`."
        )
        return
    session.output.many(reply.body, lambda: keys_view(reply.value, session.now()))


def _print_new(session: Session, reply: "Exact[NewApiKey]") -> None:
    new = reply.value
    session.output.secret(reply.body, new.key, f"The key {new.id} ({new.name}) was made.")
