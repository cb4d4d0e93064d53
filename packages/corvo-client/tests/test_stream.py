"""Parser of event streams."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvo_client._stream import Message, MessageReader

TEXT = (
    b": following\nid: 4\n\n"
    b"id: 5\nevent: enqueued\ndata: {}\n\n"
    b": alive\n\n"
    b"data: one\r\ndata:two\r\nid: 6\r\n\r\n"
    b"data\rid: x\rretry: 5\r\r"
    b"data: unfinished\n"
)
MESSAGES = [
    Message("4", None),
    Message("5", b"{}"),
    Message("6", b"one\ntwo"),
    Message(None, b""),
]


@given(st.sets(st.integers(1, len(TEXT) - 1)))
def test_messages_do_not_depend_on_the_boundaries_of_pieces(cuts: set[int]) -> None:
    reader = MessageReader()
    ends = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[start:end] for start, end in pairwise(ends)]
    assert [message for piece in pieces for message in reader.feed(piece)] == MESSAGES


@pytest.mark.parametrize("name", ["ID", "idx", " id"])
def test_other_fields_are_ignored(name: str) -> None:
    assert not list(MessageReader().feed(f"{name}: 7\n\n".encode()))
