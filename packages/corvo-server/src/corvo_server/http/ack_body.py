"""Read the bodies of acks.

msgspec reads a plain batch into records, at half the cost of the models. The models read any body
that is invalid or has unknown fields, and produce its errors.
"""

from typing import Annotated

from msgspec import Meta, Raw, Struct
from sanic import Request

from corvo_schema import MAX_BATCH_OUTCOMES, AckBatchRequest, AckRequest
from corvo_schema.fields import MAX_LABEL
from corvo_server.engine.attempts import Ack
from corvo_server.http.body import optional_document, read_body, read_documents, read_plain

_NOTHING = Raw(b"")
_NUL = b"\\u0000"
"""The JSON escape of NUL, which labels must not contain and msgspec does not refuse."""

_Label = Annotated[str, Meta(min_length=1, max_length=MAX_LABEL)]


class _Ack(Struct, forbid_unknown_fields=True, gc=False):
    job_id: _Label
    lease_token: _Label | None = None
    result: Raw = _NOTHING


class _Acks(Struct, forbid_unknown_fields=True):
    acks: Annotated[list[_Ack], Meta(max_length=MAX_BATCH_OUTCOMES)]


class _Result(Struct):
    result: Raw = _NOTHING


class _Results(Struct):
    acks: list[_Result]


def read_ack(request: Request, job_id: str) -> Ack:
    """Return the ack of one job, with its result as JSON text. Raise `CallError`."""
    item = read_body(request, AckRequest)
    result = optional_document(read_documents(request, _Result).result)
    return Ack(job_id, item.lease_token, result)


def read_acks(request: Request) -> list[Ack]:
    """Return the acks of a batch, with their results as JSON text. Raise `CallError`."""
    plain = None if _NUL in request.body else read_plain(request, _Acks)
    if plain is not None:
        return [
            Ack(item.job_id, item.lease_token, optional_document(item.result))
            for item in plain.acks
        ]
    items = read_body(request, AckBatchRequest).acks
    results = read_documents(request, _Results).acks if items else []
    return [
        Ack(item.job_id, item.lease_token, optional_document(documents.result))
        for item, documents in zip(items, results, strict=True)
    ]
