"""Loads the certificate, the key and the authorities of TLS, and explains what is wrong with them.

An `SSLContext` is made anew from the files at each load. Connections keep the context under which
they began, so a reload changes nothing for them.
"""

import re
import ssl
from pathlib import Path
from typing import NamedTuple, NoReturn

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ENCRYPTED = re.compile("BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED")
_LONGEST_PASSWORD = 1023
_HANDSHAKE_STEPS = 10
_NOT_YET_VALID = 9
_EXPIRED = 10
"""Results of the verification of a certificate in OpenSSL."""


class TlsFiles(NamedTuple):
    """The files of TLS, in PEM."""

    cert: Path
    key: Path
    password: Path | None = None
    client_ca: Path | None = None
    requires_client: bool = False


class LoadedTls(NamedTuple):
    """A context for new connections, and the Unix time at which its certificate expires."""

    context: ssl.SSLContext
    expires: int


class TlsError(Exception):
    """Raised when the server cannot speak TLS with its files. The message says what to do."""


def load_tls(files: TlsFiles) -> LoadedTls:
    """Load and check the files. Raise `TlsError` if a client could not use them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    chain = _certificates(files.cert, "--tls-cert")
    _load_key(context, files, chain)
    expires = _check_certificate(context, files.cert, chain[0])
    if files.client_ca is not None:
        _load_authorities(context, files.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if files.requires_client else ssl.CERT_OPTIONAL
        # A resumed session would skip the check of the client's certificate.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return LoadedTls(context, expires)


def _read(path: Path, option: str) -> str:
    try:
        return path.read_bytes().decode("latin-1")
    except FileNotFoundError:
        raise TlsError(f"{option}: the file {path} does not exist. Check the path.") from None
    except OSError as error:
        raise TlsError(
            f"{option}: cannot read {path}: {error.strerror}. Give it to the user of the server, "
            "or name another file."
        ) from None


def _certificates(path: Path, option: str) -> list[str]:
    """Return the certificates of a file, one text each."""
    text = _read(path, option)
    found = _CERTIFICATE.findall(text)
    if not found:
        kind = "a private key, but no certificate" if _KEY.search(text) else "no certificate in PEM"
        raise TlsError(
            f"{option}: {path} contains {kind}. PEM starts with -----BEGIN CERTIFICATE-----; "
            f"convert other formats with: openssl x509 -inform der -in {path}"
        )
    return found


def _load_key(context: ssl.SSLContext, files: TlsFiles, chain: list[str]) -> None:
    """Load certificate and key, which must belong together."""
    text = _read(files.key, "--tls-key")
    if not _KEY.search(text):
        raise TlsError(
            f"--tls-key: {files.key} contains no private key in PEM. PEM starts with -----BEGIN "
            "PRIVATE KEY-----; convert other formats with: "
            f"openssl pkey -inform der -in {files.key}"
        )
    is_encrypted = _ENCRYPTED.search(text) is not None
    password = _password(files, is_encrypted=is_encrypted)
    try:
        context.load_cert_chain(files.cert, files.key, password=password)
    except OSError as error:
        _explain(error, files, chain, is_encrypted=is_encrypted)


def _password(files: TlsFiles, *, is_encrypted: bool) -> bytes:
    """Return the password of the key; empty if the key needs none."""
    if not is_encrypted:
        return b""
    if files.password is None:
        raise TlsError(
            f"--tls-key: the private key in {files.key} is encrypted. Name a file with its "
            "password: --tls-key-password-file FILE, or decrypt the key with: openssl pkey"
        )
    password = _read(files.password, "--tls-key-password-file").rstrip("\r\n")
    if not 0 < len(password) <= _LONGEST_PASSWORD:
        raise TlsError(
            f"--tls-key-password-file: {files.password} is empty, or longer than a password can "
            "be. Write the password of the private key into it, and nothing else."
        )
    return password.encode("latin-1")


def _explain(error: OSError, files: TlsFiles, chain: list[str], *, is_encrypted: bool) -> NoReturn:
    """Raise `TlsError` for certificate and key that OpenSSL does not load."""
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    if reason == "KEY_VALUES_MISMATCH":
        raise TlsError(
            f"--tls-cert: the certificate in {files.cert} does not belong to the private key in "
            f"{files.key}. The first certificate of the file must be that of the server; renew "
            "both files together."
        ) from None
    for number, certificate in enumerate(chain, 1):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
        except OSError:
            raise TlsError(
                f"--tls-cert: certificate {number} in {files.cert} is damaged. Copy the file again."
            ) from None
    if "TOO_SMALL" in reason or "TOO_WEAK" in reason:
        raise TlsError(
            f"--tls-cert: the key or the signature of {files.cert} is too weak ({reason}). Issue "
            "a certificate with an RSA key of 2048 bits or more, or an ECDSA key."
        ) from None
    if is_encrypted:
        raise TlsError(
            f"--tls-key-password-file: the password in {files.password} does not decrypt the "
            f"private key in {files.key}. Write the right password into the file."
        ) from None
    raise TlsError(
        f"--tls-key: the private key in {files.key} cannot be used ({reason}). Copy the file again."
    ) from None


def _check_certificate(context: ssl.SSLContext, path: Path, certificate: str) -> int:
    """Return when the certificate expires. Raise `TlsError` if it is not valid now.

    A client in memory, which trusts this certificate alone, connects to a server in memory.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(cadata=certificate)
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(one, other)
    server = context.wrap_bio(other, one, server_side=True)
    try:
        _shake_hands(client, server)
    except ssl.SSLCertVerificationError as error:
        raise TlsError(_not_valid(error, path)) from None
    except ssl.SSLError as error:
        raise TlsError(
            f"--tls-cert: no client can connect with {path}: {error.reason or error}. Issue "
            "another certificate."
        ) from None
    found = client.getpeercert() or {}
    return ssl.cert_time_to_seconds(str(found["notAfter"]))


def _shake_hands(client: ssl.SSLObject, server: ssl.SSLObject) -> None:
    waiting = [client, server]
    for _ in range(_HANDSHAKE_STEPS):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    if waiting:
        raise ssl.SSLError("the handshake does not end")


def _not_valid(error: ssl.SSLCertVerificationError, path: Path) -> str:
    if error.verify_code == _EXPIRED:
        return (
            f"--tls-cert: the certificate in {path} has expired. Renew it. This shows its dates: "
            f"openssl x509 -noout -dates -in {path}"
        )
    if error.verify_code == _NOT_YET_VALID:
        return (
            f"--tls-cert: the certificate in {path} is not valid yet. Check the clock of this "
            f"machine. This shows its dates: openssl x509 -noout -dates -in {path}"
        )
    return (
        f"--tls-cert: the certificate in {path} cannot be that of a server: {error.verify_message}."
        " Issue another certificate."
    )


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    """Trust client certificates of the authorities in a file."""
    authorities = _certificates(path, "--tls-client-ca")
    for number, certificate in enumerate(authorities, 1):
        try:
            context.load_verify_locations(cadata=certificate)
        except OSError:
            raise TlsError(
                f"--tls-client-ca: certificate {number} in {path} is damaged. Copy the file again."
            ) from None
    if not context.cert_store_stats()["x509_ca"]:
        raise TlsError(
            f"--tls-client-ca: {path} has no certificate of an authority. Name the file of the "
            "authority that signs the certificates of clients."
        )
