"""The text of keys: any change of it is found, and no log shows its secret."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corvo_schema.masks import mask_keys
from corvo_server.auth.key_text import (
    SECRET_BYTES,
    KeyText,
    MalformedKeyError,
    hash_key,
    new_key,
    read_key,
)

LENGTH = 68
KEYS = st.builds(new_key)
LETTERS = st.sampled_from("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def secret_of(key: KeyText) -> str:
    return key.text[len(key.id) + 1 :]


@given(KEYS)
def test_new_key_is_read_back(key: KeyText) -> None:
    assert read_key(key.text) == key
    assert len(key.text) == LENGTH
    assert key.text.startswith(f"{key.id}_")


@given(KEYS, st.integers(0, LENGTH - 1), LETTERS)
def test_changed_character_is_found_without_the_store(key: KeyText, at: int, letter: str) -> None:
    changed = key.text[:at] + letter + key.text[at + 1 :]
    assume(changed != key.text)
    with pytest.raises(MalformedKeyError) as caught:
        read_key(changed)
    assert secret_of(key)[:20] not in str(caught.value)


@given(KEYS, st.integers(0, LENGTH - 1))
def test_cut_key_is_refused(key: KeyText, length: int) -> None:
    with pytest.raises(MalformedKeyError):
        read_key(key.text[:length])


@given(st.text(max_size=200))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(MalformedKeyError):
        read_key(text)


@given(st.lists(st.tuples(KEYS, st.text(" \"'=:/\n{}", max_size=3)), max_size=4))
def test_mask_hides_every_secret_of_a_text(parts: list[tuple[KeyText, str]]) -> None:
    masked = mask_keys("".join(key.text + gap for key, gap in parts))
    for key, _ in parts:
        assert secret_of(key) not in masked


@given(st.lists(st.tuples(KEYS, st.text(" \"'=:/\n{}", min_size=1, max_size=3)), max_size=4))
def test_mask_keeps_all_but_the_secrets(parts: list[tuple[KeyText, str]]) -> None:
    masked = mask_keys("".join(key.text + gap for key, gap in parts))
    assert masked == "".join(f"{key.id}_…{gap}" for key, gap in parts)


@given(KEYS, st.integers(1, 48))
def test_mask_hides_also_a_part_of_a_secret(key: KeyText, length: int) -> None:
    cut = key.text[: len(key.id) + 1 + length]
    assert mask_keys(cut) == f"{key.id}_…"


def test_hash_depends_on_the_secret_of_the_server() -> None:
    key = new_key().text
    one, other = bytes(SECRET_BYTES), bytes([1]) * SECRET_BYTES
    assert hash_key(one, key) == hash_key(one, key) != hash_key(other, key)
