"""Laws of the parsers of requests: the fast ones agree with the strict ones."""

import re
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import patch

from msgspec import to_builtins
from sanic.compat import Header
from sanic.models.protocol_types import TransportProtocol

from corvo_schema import EnqueueRequest
from corvo_server.engine.errors import CallError
from corvo_server.engine.jobs import PlainJob
from corvo_server.http import ack_body, enqueue_body
from corvo_server.http.fast_path import read_head, read_headers
from corvo_server.http.http1 import END_OF_HEAD, check_head
from corvo_server.http.request import AnyRequest

_LIMIT = 8192
_SERVED = re.compile("[A-Za-z0-9_/-]+")
_NO_TRANSPORT = cast("TransportProtocol", None)


def check_heads(data: bytes) -> None:
    """A head that the fast path takes is valid, and both paths see the same length and host."""
    head = read_head(bytearray(data), _LIMIT)
    if head is None:
        return
    assert data.startswith(head.head + END_OF_HEAD)
    plain = read_headers(head.headers)
    # The fast path takes only a POST of the paths that it serves, which have plain letters.
    if plain is None or head.method != "POST" or not _SERVED.fullmatch(head.path):
        return
    check_head(head.head)
    lines = [line.partition(":") for line in head.headers.decode(errors="replace").split("\r\n")]
    lengths = [value for name, _, value in lines if name.lower() == "content-length"]
    assert [int(value) for value in lengths] == [plain.length]
    assert not any(name.lower() == "transfer-encoding" for name, _, _ in lines)
    assert len(plain.headers) == len(lines)


def check_enqueues(data: bytes) -> None:
    """The plain parser and the models read the same job, or give the same error."""
    _check_both_ways(data, lambda request: _job_of(*enqueue_body.read_job(request)), enqueue_body)


def check_batches(data: bytes) -> None:
    """The plain parser and the models read the same batch, or give the same error."""

    def read(request: AnyRequest) -> Any:
        batch = enqueue_body.read_batch(request)
        jobs = [_job_of(job) for job in batch.request.jobs]
        return jobs, batch.payloads, batch.callback_payload

    _check_both_ways(data, read, enqueue_body)


def check_acks(data: bytes) -> None:
    """The plain parser and the models read the same acks, or give the same error."""
    _check_both_ways(data, lambda request: to_builtins(ack_body.read_acks(request)), ack_body)


def _check_both_ways(data: bytes, read: Callable[[AnyRequest], Any], module: Any) -> None:
    found = _outcome(read, data)
    with patch.object(module, "read_plain", return_value=None):
        assert found == _outcome(read, data)


def _outcome(read: Callable[[AnyRequest], Any], body: bytes) -> Any:
    request = AnyRequest(
        b"/api/v1/enqueue",
        Header({"content-type": "application/json"}),
        "1.1",
        "POST",
        _NO_TRANSPORT,
        cast("Any", None),
    )
    request.body = body
    try:
        return read(request)
    except CallError as error:
        return error.code, error.message


def _job_of(job: EnqueueRequest | PlainJob, payload: bytes | None = None) -> Any:
    return job.queue, job.job_id, payload
