"""Runs programs that refuse to run as root: as another user, if the tests run as root."""

import os
import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path


class NoUnprivilegedUser(Exception):
    """Raised if the tests run as root and cannot switch to another user. The message says why."""


def unprivileged_user() -> str | None:
    """Return the user for such programs; None if the current user is not root."""
    if os.getuid() != 0:
        return None
    if shutil.which("setpriv") is None:
        raise NoUnprivilegedUser(
            "PostgreSQL and PgBouncer do not run as root, and there is no setpriv"
        )
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise NoUnprivilegedUser(
        "PostgreSQL and PgBouncer do not run as root; there is no user postgres"
    )


def as_user(
    user: str | None, command: Sequence[str | Path], options: Sequence[str] = ()
) -> list[str | Path]:
    """Return the command prefixed with setpriv: it switches to `user` and takes `options`.

    Without setpriv the command is unchanged.
    """
    if user is not None:
        entry = pwd.getpwnam(user)
        ids = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        options = [*options, *ids]
    if not options or shutil.which("setpriv") is None:
        return list(command)
    return ["setpriv", *options, "--", *command]
