"""Programs that refuse to run as root, run as somebody else where we are root."""

import os
import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path


class NoAccount(Exception):
    """We are root, and cannot be anybody else. The message says why."""


def unprivileged_account() -> str | None:
    """The account for such programs; None: our own, which is not root's."""
    if os.getuid() != 0:
        return None
    if shutil.which("setpriv") is None:
        raise NoAccount("PostgreSQL and PgBouncer do not run as root, and there is no setpriv")
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise NoAccount("PostgreSQL and PgBouncer do not run as root; there is no account postgres")


def as_account(
    account: str | None, command: Sequence[str | Path], options: Sequence[str] = ()
) -> list[str | Path]:
    """The command as that account, and with further `options` of setpriv, where there is one."""
    if account is not None:
        entry = pwd.getpwnam(account)
        ids = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        options = [*options, *ids]
    if not options or shutil.which("setpriv") is None:
        return list(command)
    return ["setpriv", *options, "--", *command]
