"""Asks the server in this container whether it is well: exits with 0, or with 1 and says why.

Finds it by `CORVO_BIND`, as the server does: where that is set by the option `--bind` instead,
give the container a health check of its own. Standard library only, and little of it: it is
started every few seconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

WITHIN = 4.0
"""Seconds; below the time-out of the HEALTHCHECK, so that the reason is seen."""


def main() -> str | None:
    """None, or what is wrong."""
    host, _, port = os.environ.get("CORVO_BIND", "127.0.0.1:8080").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    connection = HTTPConnection(
        {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host),  # noqa: S104 - asked, not bound
        int(port),
        timeout=WITHIN,
    )
    try:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        body = response.read(2000).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return f"no answer from {host}:{port}: {error}"
    finally:
        connection.close()
    return None if response.status == 200 else f"{response.status}: {body}"


if __name__ == "__main__":
    sys.exit(main())
