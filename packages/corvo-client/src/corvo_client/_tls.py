"""The SSL context of a client: whom it trusts, and the certificate that it shows."""

import os
import ssl
from collections.abc import Callable

from corvo_client._errors import InvalidSetting

_REFUSED = "CERTIFICATE_VERIFY_FAILED"
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")


def verification(
    verify: ssl.SSLContext | bool,
    ca_file: str | None,
    default: Callable[[], ssl.SSLContext],
) -> ssl.SSLContext | bool:
    """Return what httpx is to verify servers with; True for its own authorities.

    `ca_file` defaults to CORVO_CA_FILE. The certificate of the client is that of CORVO_CLIENT_CERT
    and CORVO_CLIENT_KEY. `default` makes a context with httpx's authorities. Raises
    `InvalidSetting`.
    """
    if verify is not True:
        if ca_file is not None:
            raise InvalidSetting("pass either `verify` or `ca_file`; the context has authorities")
        return verify
    source = "ca_file" if ca_file else "CORVO_CA_FILE"
    path = ca_file or os.environ.get("CORVO_CA_FILE")
    certificate = os.environ.get("CORVO_CLIENT_CERT")
    if not path and not certificate:
        _check_authorities()
        return True
    context = _trusting(path, source) if path else default()
    if certificate:
        _show(context, certificate, os.environ.get("CORVO_CLIENT_KEY") or None)
    return context


def advice(error: str) -> str:
    """Return a sentence for the error of a handshake; empty if there is none."""
    if _REFUSED in error:
        return (
            " The authority that signed its certificate is not known here, or the certificate is "
            "for another name. Name the file of the authority with CORVO_CA_FILE."
        )
    if any(reason in error for reason in _NOT_TLS):
        return " The server does not speak TLS there: use a URL that starts with http://."
    return ""


def _trusting(path: str, source: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise InvalidSetting(f"{source}: {path!r} has no certificates in PEM") from None
    except OSError as error:
        raise InvalidSetting(f"{source}: cannot read {path!r}: {error.strerror}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _show(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    names = f"CORVO_CLIENT_CERT={certificate!r}"
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise InvalidSetting(
            f"{names}: no certificate with its private key in PEM ({error.reason or error}). Name "
            "the file of the key with CORVO_CLIENT_KEY, unless it is in the same file"
        ) from None
    except OSError as error:
        raise InvalidSetting(
            f"{names}: cannot read the file, or that of CORVO_CLIENT_KEY: {error.strerror}"
        ) from None


def _no_password() -> str:
    raise InvalidSetting(
        "CORVO_CLIENT_KEY: the private key is encrypted. Decrypt it with: openssl pkey"
    )


def _check_authorities() -> None:
    """Raise `InvalidSetting` if a variable names authorities that do not exist."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(name)
        if path and not os.path.exists(path):  # noqa: PTH110 - a path of any form
            raise InvalidSetting(f"{name} names {path!r}, which does not exist")
