"""Check the health of the server in this container: exit with 0, or print a reason and exit with 1.

The address comes from `CORVO_BIND`. If the server gets its address from the option `--bind`, give
the container another health check. The script imports little, because it starts every few seconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT = 4.0
"""Seconds. Less than the timeout of HEALTHCHECK, so that Docker records the printed reason."""


def connect(host: str, port: int) -> HTTPConnection:
    """Return a connection to the server, over TLS if `CORVO_TLS_CERT` is set.

    The certificate is not verified: it is for the name of the server, and this is its container.
    """
    if not os.environ.get("CORVO_TLS_CERT"):
        return HTTPConnection(host, port, timeout=TIMEOUT)
    import ssl  # noqa: PLC0415 - only here needed
    from http.client import HTTPSConnection  # noqa: PLC0415 - needs ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(host, port, timeout=TIMEOUT, context=context)


def main() -> str | None:
    """Return None if the server is healthy, else the reason why it is not."""
    host, _, port = os.environ.get("CORVO_BIND", "127.0.0.1:8080").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    connection = connect(
        {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host),  # noqa: S104 - compared, not bound
        int(port),
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
