"""`corvo codec`."""

import click

import corvo_client
from corvo_cli.command import Command, Group
from corvo_cli.session import NEEDS_EXTRA, Session, pass_session


@click.group(cls=Group, examples="(umask 077; corvo codec new-key > keys)")
def codec() -> None:
    """Make keys for encrypted jobs.

    A file of keys has one key per line. The first key encrypts, all of them decrypt. Name the file
    with --codec, CORVO_CODEC_KEYS_FILE, or `codec` in a profile.
    """


@codec.command(
    "new-key",
    cls=Command,
    examples="""
    (umask 077; corvo codec new-key > keys)
    corvo codec new-key --id 2026-02 >> keys     decrypts; move it to the first line to encrypt
    """,
)
@click.option(
    "--id",
    "key_id",
    metavar="ID",
    help="The id of the key: 1 to 64 characters from A-Z a-z 0-9 . _ -  [default: the date and "
    "four digits]",
)
@pass_session
def new_key(session: Session, key_id: str | None) -> None:
    """Print a new random key as a line of a file of keys."""
    try:
        from corvo_client.encryption import new_key as make  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise click.UsageError(NEEDS_EXTRA) from error
    try:
        session.output.lines([make(key_id)])
    except corvo_client.InvalidSetting as error:
        raise click.UsageError(f"--id: {error}.") from error
