"""Environment variables that look like settings of the server and are none."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_PREFIX = "CORVO_"
_OF_CLIENTS = frozenset(
    {
        "CORVO_API_KEY",
        "CORVO_CA_FILE",
        "CORVO_CLIENT_CERT",
        "CORVO_CLIENT_KEY",
        "CORVO_API_KEY_FILE",
        "CORVO_CONFIG",
        "CORVO_OUTPUT",
        "CORVO_PROFILE",
        "CORVO_RETRY_SECONDS",
        "CORVO_SERVER",
        "CORVO_TEST_API_KEY",
        "CORVO_TEST_SERVER",
    }
)
"""Variables of the client and the command line, which the server does not read."""
_OF_SANIC = "CORVO_SANIC_"
"""Start of the variables that set options of the web framework."""
_OF_KUBERNETES = re.compile(
    r"CORVO(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?"
    r"|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""Variables that Kubernetes sets in each container for a service named `corvo` or `corvo-...`."""


def unknown_variables(environment: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Return a sentence for each variable `CORVO_*` that is not in `known`.

    Variables of the other packages, the web framework and Kubernetes are left out.
    """
    names = sorted(known)
    return [
        f"The environment variable {name} is unknown and has no effect.{_advice(name, names)}"
        for name in sorted(environment)
        if name.upper().startswith(_PREFIX)
        and name not in _OF_CLIENTS
        and name not in names
        and not name.startswith(_OF_SANIC)
        and not _OF_KUBERNETES.fullmatch(name)
    ]


def _advice(name: str, known: list[str]) -> str:
    near = get_close_matches(name.upper(), known, n=1, cutoff=0.75)
    if near:
        return f" Did you mean {near[0]}?"
    return " corvo-server --help lists the variables."
