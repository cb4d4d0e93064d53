"""Codecs: what an application may put between its documents and the server."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class DocumentKind(StrEnum):
    """The documents of a job that a codec encodes."""

    PAYLOAD = "payload"
    """Also the payload of a schedule, which becomes the payload of its jobs."""
    CALLBACK_PAYLOAD = "callback_payload"
    """Of a batch. The server puts it into the payload of the callback job."""
    RESULT = "result"
    CHECKPOINT = "checkpoint"
    ERROR = "error"
    BACKTRACE = "backtrace"
    MESSAGE = "message"
    """Text of a progress report."""


@dataclass(frozen=True, slots=True)
class AboutDocument:
    """What is known of a document where it is written and where it is read.

    `job_id` is None for payloads: schedules and `on_conflict="replace"` give them to jobs with
    other ids. The queue is not here, because a move changes it.

    `repeat_id`, only when a document is written: the same document with the same `repeat_id` must
    be encoded as the same bytes. Otherwise the server would refuse a repeated enqueue of a job id
    as another job.
    """

    kind: DocumentKind
    job_id: str | None = None
    repeat_id: str | None = None


class Codec(Protocol):
    """Encodes documents before they leave the process, and decodes them when they are back.

    A document is one JSON value in UTF-8; errors and messages are JSON strings. Any thread may call
    the methods at any time. They must be fast, because asyncio calls them, too.
    """

    def encode(self, document: bytes, about: AboutDocument) -> bytes:
        """Return the JSON to store. Raises `AlreadyEncoded` for what `encode` has returned."""
        ...

    def decode(self, document: bytes, about: AboutDocument) -> bytes:
        """Return the document of a stored JSON value, unchanged if it is not encoded.

        Raises `CannotDecode`. Its message goes to the server, so it must not contain the document.
        """
        ...
