"""The verified TLS certificate of the client that sent a request."""

import re
import ssl
from hashlib import sha256
from typing import Any, NamedTuple

from sanic import Request

_SPECIAL = re.compile(r'[,+"\\<>;=\0-\x1f\x7f]|^[ #]| $')
_SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "userId": "UID",
}


class ClientCertificate(NamedTuple):
    """A certificate that an authority of `--tls-client-ca` has signed."""

    subject: str
    """Like `CN=worker-1,O=Example`, in the order of the certificate. Special characters have a
    backslash, so that no value can pretend to be several."""
    common_name: str | None
    """The common name, if there is exactly one."""
    names: tuple[str, ...]
    """The subject alternative names, like `DNS:worker.internal` or `URI:spiffe://example/worker`."""
    fingerprint: str
    """SHA-256 of the whole certificate in hex digits."""


def client_certificate(request: Request) -> ClientCertificate | None:
    """Return the certificate of the client; None if it sent none, or without --tls-client-ca."""
    session = request.transport.get_extra_info("ssl_object")
    if not isinstance(session, ssl.SSLObject) or session.context.verify_mode == ssl.CERT_NONE:
        return None
    der, read = session.getpeercert(binary_form=True), session.getpeercert()
    if not der or not read:
        return None
    # Python describes both as tuples of pairs; typeshed does not know it.
    parts: Any = read.get("subject", ())
    names: Any = read.get("subjectAltName", ())
    subject: list[tuple[str, str]] = [pair for part in parts for pair in part]
    common = [value for name, value in subject if name == "commonName"]
    return ClientCertificate(
        ",".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in subject),
        common[0] if len(common) == 1 else None,
        tuple(f"{kind}:{name}" for kind, name in names),
        sha256(der).hexdigest(),
    )


def _escaped(value: str) -> str:
    return _SPECIAL.sub(_escape, value)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return f"\\{ord(character):02x}" if character < " " or character == "\x7f" else f"\\{character}"
