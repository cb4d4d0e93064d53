"""Signatures of webhooks: those that are made, and the forms that are accepted."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import pytest

from corvo_server.webhooks.signing import MalformedSecretError, headers, key_of, new_secret, sign
from corvo_server.webhooks.verifying import TOLERANCE, Signing, is_signed

# The example of the specification of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = new_secret()

# The example of GitHub's documentation.
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_BODY = b"Hello, World!"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

STANDARD = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}


def stripe(secret: str, at: int, body: bytes) -> str:
    signed = f"{at}.".encode() + body
    return f"t={at},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def test_signature_is_that_of_the_specification() -> None:
    assert sign(SECRET, ID, AT, BODY) == SIGNATURE


def test_headers_have_a_signature_per_secret() -> None:
    found = dict(headers([SECRET, OTHER], ID, AT, BODY))
    assert found == STANDARD | {
        "webhook-signature": f"{SIGNATURE} {sign(OTHER, ID, AT, BODY)}",
    }
    for secret in (SECRET, OTHER):
        assert is_signed(Signing("standard-webhooks", None, [secret]), found, BODY, AT)


def test_new_secrets_differ_and_are_well_formed() -> None:
    assert new_secret() != new_secret()
    assert len(key_of(new_secret())) == 32


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begin with whsec_"),
        ("whsec_nö", "base64"),
        ("whsec_abc", "base64"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "not 23"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "not 65"),
    ],
)
def test_malformed_secret_is_refused(secret: str, reason: str) -> None:
    with pytest.raises(MalformedSecretError, match=reason):
        key_of(secret)


@pytest.mark.parametrize(
    ("how", "given", "body"),
    [
        (Signing("standard-webhooks", None, [SECRET]), STANDARD, BODY),
        (Signing("standard-webhooks", None, [OTHER, SECRET]), STANDARD, BODY),
        (
            Signing("standard-webhooks", "x-signed", [SECRET]),
            STANDARD | {"x-signed": f"v1a,xx v1,yy {SIGNATURE}", "webhook-signature": ""},
            BODY,
        ),
        (
            Signing("github", None, [GITHUB_SECRET]),
            {"x-hub-signature-256": GITHUB_SIGNATURE},
            GITHUB_BODY,
        ),
        (
            Signing("stripe", None, [SECRET]),
            {"stripe-signature": stripe(SECRET, AT, BODY) + ",v1=00,v0=11"},
            BODY,
        ),
        (Signing("token", "x-gitlab-token", ["s" * 16]), {"x-gitlab-token": "s" * 16}, BODY),
    ],
)
def test_valid_signature_is_accepted(how: Signing, given: Mapping[str, str], body: bytes) -> None:
    assert is_signed(how, given, body, AT)
    assert not is_signed(how._replace(secrets=[OTHER]), given, body, AT)
    assert not is_signed(how._replace(secrets=[]), given, body, AT)
    assert not is_signed(how, {}, body, AT)
    if how.form != "token":
        assert not is_signed(how, given, body + b" ", AT)


@pytest.mark.parametrize("form", ["standard-webhooks", "stripe"])
@pytest.mark.parametrize(("late", "expected"), [(TOLERANCE, True), (TOLERANCE + 1, False)])
def test_old_or_future_signature_is_refused(form: str, late: int, *, expected: bool) -> None:
    given = STANDARD | {"stripe-signature": stripe(SECRET, AT, BODY)}
    how = Signing(form, None, [SECRET])
    assert is_signed(how, given, BODY, AT + late) is expected
    assert is_signed(how, given, BODY, AT - late) is expected


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("standard-webhooks", {"webhook-id": ""}),
        ("standard-webhooks", {"webhook-id": "msg_other"}),
        ("standard-webhooks", {"webhook-timestamp": f"0{AT}"}),
        ("standard-webhooks", {"webhook-timestamp": f"+{AT}"}),
        ("standard-webhooks", {"webhook-timestamp": f"{AT}.0"}),
        ("standard-webhooks", {"webhook-timestamp": "١٢٣"}),
        ("standard-webhooks", {"webhook-timestamp": "9" * 500}),
        ("standard-webhooks", {"webhook-signature": SIGNATURE.removeprefix("v1,")}),
        ("standard-webhooks", {"webhook-signature": "v1,\udcff"}),
        ("stripe", {"stripe-signature": "v1=00"}),
        ("stripe", {"stripe-signature": f"t={AT},t={AT},v1=00"}),
        ("stripe", {"stripe-signature": f"t={AT}"}),
        ("github", {"x-hub-signature-256": "sha1=00"}),
        ("of a newer server", {}),
    ],
)
def test_changed_or_malformed_signature_is_refused(form: str, change: dict[str, Any]) -> None:
    given = STANDARD | {"stripe-signature": stripe(SECRET, AT, BODY)} | change
    assert not is_signed(Signing(form, None, [SECRET]), given, BODY, AT)
