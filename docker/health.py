"""Check the health of the server in this container: exit with 0, or print a reason and exit with 1.

The address comes from `CORVO_BIND`. If the server gets its address from the option `--bind`, give
the container another health check. The script imports little, because it starts every few seconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT = 4.0
"""Seconds. Less than the timeout of HEALTHCHECK, so that Docker records the printed reason."""


def main() -> str | None:
    """Return None if the server is healthy, else the reason why it is not."""
    host, _, port = os.environ.get("CORVO_BIND", "127.0.0.1:8080").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    connection = HTTPConnection(
        {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host),  # noqa: S104 - compared, not bound
        int(port),
        timeout=TIMEOUT,
    )
    try:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        body = response.read(2000).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return f"no answer from {host}:{port}: {error}"
    finally:
        connection.close()
    return None if response.status == 200 else f"/healthz returned {response.status}: {body}"


if __name__ == "__main__":
    sys.exit(main())
