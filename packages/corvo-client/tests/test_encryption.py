"""The encryption codec: round trips, damaged envelopes, key rings, and what its messages say."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from hypothesis import given
from hypothesis import strategies as st

from corvo_client import (
    AboutDocument,
    AlreadyEncoded,
    CannotDecode,
    DocumentKind,
    EncryptionCodec,
    InvalidSetting,
)
from corvo_client.encryption import new_key

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PAYLOAD = AboutDocument(DocumentKind.PAYLOAD)
NAME = "$corvo_encrypted"

codec = EncryptionCodec({"new": NEW, "old": OLD})

abouts = st.builds(
    AboutDocument,
    st.sampled_from(DocumentKind),
    st.none() | st.text(),
    st.none() | st.text(st.characters(codec="utf-8")),
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
).map(lambda value: json.dumps(value).encode())


def envelope(document: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document)[NAME]
    return found


@given(document=documents, about=st.builds(AboutDocument, st.sampled_from(DocumentKind), st.none()))
def test_any_document_comes_back_byte_for_byte(document: bytes, about: AboutDocument) -> None:
    encoded = codec.encode(document, about)
    assert codec.decode(encoded, about) == document
    assert set(json.loads(encoded)) == {NAME}
    assert set(envelope(encoded)) == {"v", "kid", "data"}
    assert len(document) < 8 or document not in encoded


@given(data=st.data(), repeat_id=st.none() | st.just("job_1"))
def test_a_flipped_bit_is_refused(data: st.DataObject, repeat_id: str | None) -> None:
    strict = EncryptionCodec({"new": NEW}, require=True)
    encoded = strict.encode(
        b'{"card":"4111"}', AboutDocument(DocumentKind.PAYLOAD, None, repeat_id)
    )
    at = data.draw(st.integers(0, len(encoded) * 8 - 1))
    flipped = bytearray(encoded)
    flipped[at // 8] ^= 1 << at % 8
    with pytest.raises(CannotDecode) as raised:
        strict.decode(bytes(flipped), PAYLOAD)
    assert "4111" not in str(raised.value)


def test_every_flipped_bit_of_the_data_is_refused_without_require() -> None:
    encoded = codec.encode(b'"x"', PAYLOAD)
    start = encoded.index(b'"data"') + 8
    for at in range(start * 8, (len(encoded) - 3) * 8):
        flipped = bytearray(encoded)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(CannotDecode):
            codec.decode(bytes(flipped), PAYLOAD)


def test_unused_bits_of_the_base64_must_be_zero() -> None:
    encoded = codec.encode(b'"x"', PAYLOAD)
    data, text = encoded[:-5], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    assert encoded.endswith(b'="}}')
    for bits in (1, 2, 3):  # which no decoder looks at
        last = text[text.index(chr(encoded[-5])) | bits].encode()
        with pytest.raises(CannotDecode, match="damaged"):
            codec.decode(data + last + encoded[-4:], PAYLOAD)


@given(first=abouts, second=abouts)
def test_a_document_is_bound_to_its_kind_and_job(
    first: AboutDocument, second: AboutDocument
) -> None:
    if "\0" in f"{first.job_id}{second.job_id}":
        return
    try:
        encoded = codec.encode(b"1", first)
    except UnicodeEncodeError:  # a lone surrogate, which no id has
        return
    if (first.kind, first.job_id or "") == (second.kind, second.job_id or ""):
        assert codec.decode(encoded, second) == b"1"
        return
    with pytest.raises((CannotDecode, UnicodeEncodeError)):
        codec.decode(encoded, second)


def test_equal_documents_differ_unless_an_enqueue_is_repeated() -> None:
    assert codec.encode(b"1", PAYLOAD) != codec.encode(b"1", PAYLOAD)
    repeated = AboutDocument(DocumentKind.PAYLOAD, repeat_id="job_1")
    assert codec.encode(b"1", repeated) == codec.encode(b"1", repeated)
    other = AboutDocument(DocumentKind.PAYLOAD, repeat_id="job_2")
    starts = {
        base64.b64decode(envelope(encoded)["data"])[:28]
        for encoded in (
            codec.encode(b"1", repeated),
            codec.encode(b"2", repeated),
            codec.encode(b"1", other),
        )
    }
    assert len(starts) == 3  # no salt and nonce is used for two documents


def test_keys_rotate_without_losing_a_document() -> None:
    before = EncryptionCodec({"old": OLD})
    during = EncryptionCodec({"old": OLD, "new": NEW})
    after = EncryptionCodec({"new": NEW, "old": OLD})
    without = EncryptionCodec({"new": NEW})
    first = before.encode(b"1", PAYLOAD)
    assert envelope(during.encode(b"1", PAYLOAD))["kid"] == "old"
    second = after.encode(b"2", PAYLOAD)
    assert envelope(second)["kid"] == "new"
    assert during.decode(second, PAYLOAD) == b"2"
    assert after.decode(first, PAYLOAD) == b"1"
    assert without.decode(second, PAYLOAD) == b"2"
    with pytest.raises(CannotDecode, match="key 'old', which this process does not have"):
        without.decode(first, PAYLOAD)


def test_another_key_with_the_same_id_is_named() -> None:
    encoded = EncryptionCodec({"a": OLD}).encode(b'"secret"', PAYLOAD)
    with pytest.raises(
        CannotDecode, match="payload cannot be decrypted with the key 'a'"
    ) as raised:
        EncryptionCodec({"a": NEW}).decode(encoded, PAYLOAD)
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "document",
    [
        b'{"$corvo_encrypted":1}',
        b'{"$corvo_encrypted":{"v":1,"kid":"new","data":""}}',
        b'{"$corvo_encrypted":{"v":1,"kid":"new","data":"AAAA"}}',
        b'{"$corvo_encrypted":{"v":1,"kid":7,"data":"AAAA"}}',
        b'{"$corvo_encrypted":{"v":1,"kid":"new"}}',
        b'{"\\u0024corvo_encrypted":{}}',
        b'{"a":1,"$corvo_encrypted":{}}',
        b'{"$corvo_encrypted":{"v":1,"kid"',
    ],
)
def test_what_looks_encrypted_is_neither_encrypted_nor_passed_on(document: bytes) -> None:
    with pytest.raises(AlreadyEncoded):
        codec.encode(document, PAYLOAD)
    with pytest.raises(CannotDecode, match="damaged"):
        codec.decode(document, PAYLOAD)


def test_other_notations_of_an_envelope_are_read() -> None:
    encoded = json.loads(codec.encode(b"1", PAYLOAD))
    spaced = json.dumps(encoded, indent=2).replace("$", "\\u0024")
    assert codec.decode(spaced.encode(), PAYLOAD) == b"1"


def test_a_newer_form_is_named() -> None:
    document = b'{"$corvo_encrypted":{"v":2,"kid":"new","data":"","more":1}}'
    with pytest.raises(CannotDecode, match=r"v2.*upgrade corvo-client"):
        codec.decode(document, PAYLOAD)


def test_plain_documents_pass_unless_they_must_be_encrypted() -> None:
    assert codec.decode(b"[1.50]", PAYLOAD) == b"[1.50]"
    strict = EncryptionCodec({"new": NEW}, require=True)
    with pytest.raises(CannotDecode, match="the payload is not encrypted"):
        strict.decode(b"{}", PAYLOAD)
    # The server itself writes some errors.
    assert strict.decode(b'"expired"', AboutDocument(DocumentKind.ERROR, "job_1")) == b'"expired"'


def test_a_new_key_is_one_line_of_a_key_ring(tmp_path: Path) -> None:
    first, second = new_key("a"), new_key()
    path = tmp_path / "keys"
    path.write_text(f"# the first key encrypts\n{first}   # since 2026\n\n{second}\n")
    ring = EncryptionCodec.from_file(path)
    assert ring.key_ids == ["a", second.partition(":")[0]]
    assert EncryptionCodec.from_text(f"{second},{first}").key_ids == ring.key_ids[::-1]
    assert first.partition(":")[2] not in repr(ring)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no key; make one with `corvo codec new-key`"),
        ("secretsecret", "key 1 of the keys is not id:base64 with 32 bytes"),
        ("a:c2VjcmV0", "key 1 of the keys is not id:base64 with 32 bytes"),
        (f"a:{base64.b64encode(OLD).decode()}\n:secret", "key 2 of the keys"),
        (f"a b:{base64.b64encode(OLD).decode()}", "key 1 of the keys"),
        ("{0},{0}".format(f"a:{base64.b64encode(OLD).decode()}"), "two keys with the id 'a'"),
    ],
)
def test_a_bad_key_ring_is_refused_without_its_text(text: str, message: str) -> None:
    with pytest.raises(InvalidSetting) as raised:
        EncryptionCodec.from_text(text)
    assert message in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "c2VjcmV0" not in str(raised.value)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"cannot read the keys in .*nokeys: No such file"):
        EncryptionCodec.from_file(tmp_path / "nokeys")
    with pytest.raises(InvalidSetting, match="at least one key"):
        EncryptionCodec({})
    with pytest.raises(InvalidSetting, match="must have 32 bytes, not 3"):
        EncryptionCodec({"a": b"abc"})
