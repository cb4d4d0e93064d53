"""The files of TLS: what cannot be used is refused with a sentence that says what to do."""

import logging
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from corvo_server.certificates import TlsError, TlsFiles, load_tls
from corvo_server.tls import TlsSource
from server_support.bench import until
from server_support.tls import Authority

PASSWORD = b"gr\xfc\xdfe 1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(authority: Authority) -> TlsFiles:
    return TlsFiles(*authority.issue())


def refusal(files: TlsFiles) -> str:
    with pytest.raises(TlsError) as caught:
        load_tls(files)
    return str(caught.value)


def encrypt(key: Path) -> None:
    """Encrypt a key file with `PASSWORD`."""
    plain = load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD))
    )


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_files_are_loaded(authority: Authority) -> None:
    end = in_days(90)
    loaded = load_tls(TlsFiles(*authority.issue(not_after=end)))
    assert loaded.expires == int(end.timestamp())
    assert loaded.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert loaded.context.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize("option", ["--tls-cert", "--tls-key"])
def test_missing_file_is_named(files: TlsFiles, option: str) -> None:
    path = files.cert if option == "--tls-cert" else files.key
    path.unlink()
    assert refusal(files) == f"{option}: the file {path} does not exist. Check the path."


@pytest.mark.skipif(os.name == "nt", reason="needs file modes")
def test_unreadable_file_is_named(files: TlsFiles) -> None:
    files.key.unlink()
    files.key.mkdir()  # the superuser, too, cannot read a directory
    assert f"--tls-key: cannot read {files.key}: " in refusal(files)
    assert "Give it to the user of the server" in refusal(files)


def test_other_formats_are_refused(files: TlsFiles) -> None:
    end = "-----END CERTIFICATE-----\n"
    der = ssl.PEM_cert_to_DER_cert(files.cert.read_text().partition(end)[0] + end)
    pem = files.cert.read_bytes()
    for content in (b"", b"hello", der, b"\xff" * 100):
        files.cert.write_bytes(content)
        assert "no certificate in PEM" in refusal(files)
        assert "openssl x509 -inform der" in refusal(files)
    files.cert.write_bytes(files.key.read_bytes())
    assert "a private key, but no certificate" in refusal(files)
    files.cert.write_bytes(pem)
    files.key.write_bytes(pem)
    assert f"{files.key} contains no private key in PEM" in refusal(files)


def test_certificate_of_another_key_is_refused(authority: Authority, files: TlsFiles) -> None:
    _, other = authority.issue("other")
    assert "does not belong to the private key" in refusal(files._replace(key=other))


@pytest.mark.parametrize("is_key", [False, True])
def test_damaged_file_is_refused(files: TlsFiles, is_key: bool) -> None:
    path = files.key if is_key else files.cert
    lines = path.read_text().splitlines()
    lines[1] = "A" * len(lines[1])
    path.write_text("\n".join(lines) + "\n")
    expected = (
        f"the private key in {path} cannot be used"
        if is_key
        else f"certificate 1 in {path} is damaged"
    )
    assert expected in refusal(files)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(-30, -0.01, "has expired. Renew it"), (0.5, 30, "is not valid yet. Check the clock")],
)
def test_certificate_that_is_not_valid_now_is_refused(
    authority: Authority, start: float, end: float, expected: str
) -> None:
    dates = {"not_before": in_days(start), "not_after": in_days(end)}
    files = TlsFiles(*authority.issue(**dates))
    message = refusal(files)
    assert expected in message
    assert f"openssl x509 -noout -dates -in {files.cert}" in message


def test_certificate_of_an_authority_below_others_is_loaded(tmp_path: Path) -> None:
    authority = trustme.CA().create_child_ca()
    issued = authority.issue_cert("localhost")
    files = TlsFiles(tmp_path / "chain.pem", tmp_path / "chain.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(str(files.cert))
    assert load_tls(files).expires > 0


def test_encrypted_key_needs_its_password(files: TlsFiles, tmp_path: Path) -> None:
    encrypt(files.key)
    password = tmp_path / "password"
    assert "is encrypted. Name a file with its password: --tls-key-password-file" in refusal(files)
    files = files._replace(password=password)
    assert "--tls-key-password-file: the file" in refusal(files)
    for wrong in (b"", b"\n", b"x" * 2000):
        password.write_bytes(wrong)
        assert f"{password} is empty, or longer" in refusal(files)
    password.write_bytes(b"wrong\n")
    assert f"the password in {password} does not decrypt the private key" in refusal(files)
    assert "wrong" not in refusal(files).replace("wrong file", "")
    for right in (PASSWORD, PASSWORD + b"\n", PASSWORD + b"\r\n"):
        password.write_bytes(right)
        load_tls(files)


def test_authorities_of_clients_are_loaded(authority: Authority, files: TlsFiles) -> None:
    optional = load_tls(files._replace(client_ca=authority.file)).context
    assert optional.verify_mode is ssl.CERT_OPTIONAL
    required = load_tls(files._replace(client_ca=authority.file, requires_client=True)).context
    assert required.verify_mode is ssl.CERT_REQUIRED
    assert required.num_tickets == 0


def test_authorities_of_clients_that_cannot_be_used_are_refused(
    files: TlsFiles, tmp_path: Path
) -> None:
    path = tmp_path / "clients.pem"
    files = files._replace(client_ca=path)
    assert f"--tls-client-ca: the file {path} does not exist" in refusal(files)
    path.write_text("hello")
    assert f"--tls-client-ca: {path} contains no certificate in PEM" in refusal(files)
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert f"--tls-client-ca: certificate 1 in {path} is damaged" in refusal(files)
    path.write_bytes(files.cert.read_bytes())
    assert f"--tls-client-ca: {path} has no certificate of an authority" in refusal(files)


# Reload


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "corvo_server.tls")
    return lambda: [record.getMessage() for record in caplog.records]


async def reloaded(source: TlsSource) -> None:
    source.reload()
    await until(lambda: source._task is None)


async def test_new_files_are_loaded_on_request(
    authority: Authority, files: TlsFiles, log: Callable[[], list[str]]
) -> None:
    source = TlsSource(files)
    before = source.tls.context
    authority.issue(not_after=datetime(2150, 1, 2, tzinfo=UTC))
    await reloaded(source)
    assert source.tls.context is not before
    assert source.tls.expires == datetime(2150, 1, 2, tzinfo=UTC).timestamp()
    assert log() == ["TLS was reloaded: the certificate is valid until 2150-01-02 00:00 UTC"]


@pytest.mark.parametrize("content", ["", "hello"])
async def test_broken_files_change_nothing(
    files: TlsFiles, log: Callable[[], list[str]], content: str
) -> None:
    source = TlsSource(files)
    before = source.tls.context
    files.key.write_text(content)
    await reloaded(source)
    assert source.tls.context is before
    (line,) = log()
    assert line.startswith("TLS was not reloaded, the old certificate stays in use. --tls-key: ")


async def test_request_during_a_reload_is_not_lost(
    authority: Authority, files: TlsFiles, log: Callable[[], list[str]]
) -> None:
    source = TlsSource(files)
    source.reload()
    authority.issue(not_after=datetime(2150, 1, 2, tzinfo=UTC))
    await reloaded(source)
    assert source.tls.expires == datetime(2150, 1, 2, tzinfo=UTC).timestamp()


def test_certificate_that_expires_soon_is_reported(
    authority: Authority, log: Callable[[], list[str]]
) -> None:
    TlsSource(TlsFiles(*authority.issue(not_after=in_days(15))))
    assert log() == []
    TlsSource(TlsFiles(*authority.issue(not_after=in_days(13))))
    assert "the TLS certificate expires on" in log()[0]
