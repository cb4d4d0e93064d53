"""Plain batches of acks have their own parser. Its results are those of the models."""

from typing import Any

import orjson
import pytest

from corvo_schema import MAX_BATCH_OUTCOMES
from corvo_server.http import ack_body
from corvo_server.http.body import read_plain
from server_support.http import HttpServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

NONE = b'{"job_id":"job_1"}'
BODIES = {
    "one": b'{"acks":[{"job_id":"job_1","lease_token":"t"}]}',
    "no token": b'{"acks":[{"job_id":"job_1"}]}',
    "null token": b'{"acks":[{"job_id":"job_1","lease_token":null}]}',
    "empty token": b'{"acks":[{"job_id":"job_1","lease_token":""}]}',
    "number as a token": b'{"acks":[{"job_id":"job_1","lease_token":1}]}',
    "long token": b'{"acks":[{"job_id":"job_1","lease_token":"%b"}]}' % (b"t" * 256),
    "longest id": b'{"acks":[{"job_id":"%b"}]}' % ("é" * 255).encode(),
    "NUL in an id": b'{"acks":[{"job_id":"a\\u0000b"}]}',
    "lone surrogate in an id": b'{"acks":[{"job_id":"a\\ud800"}]}',
    "wrong UTF-8 in an id": b'{"acks":[{"job_id":"\xff"}]}',
    "id by an escape": b'{"acks":[{"job_id":"job\\u005f1"}]}',
    "id twice": b'{"acks":[{"job_id":"other","job_id":"job_1"}]}',
    "no id": b'{"acks":[{"lease_token":"t"}]}',
    "unknown member": b'{"acks":[{"job_id":"job_1","colour":"red"}]}',
    "unknown member beside": b'{"acks":[],"colour":"red"}',
    "result": b'{"acks":[{"job_id":"job_1","result":{"a":1.50}}]}',
    "result null": b'{"acks":[{"job_id":"job_1","result":null}]}',
    "result that is no JSON": b'{"acks":[{"job_id":"job_1","result":01}]}',
    "result with a lone surrogate": b'{"acks":[{"job_id":"job_1","result":"\\ud800"}]}',
    "result twice": b'{"acks":[{"job_id":"job_1","result":1,"result":2}]}',
    "acks twice": b'{"acks":[],"acks":[{"job_id":"job_1"}]}',
    "none": b'{"acks":[]}',
    "null": b'{"acks":null}',
    "no acks": b"{}",
    "nothing": b"",
    "list": b"[]",
    "no JSON": b'{"acks":[',
    "most": b'{"acks":[%b]}' % b",".join([NONE] * MAX_BATCH_OUTCOMES),
    "too many": b'{"acks":[%b]}' % b",".join([NONE] * (MAX_BATCH_OUTCOMES + 1)),
}


async def answer(server: HttpServer, path: str, body: bytes) -> list[Any]:
    """Return the status and the body of the reply."""
    reply = await server.post(path, body)
    told = reply.json
    told.pop("request_id", None)
    return [reply.status, told]


@pytest.mark.parametrize("path", ["/ack/batch", "/ack/batch?strict=true", "/ack/batch?strict=no"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_both_parsers_of_acks_agree(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes
) -> None:
    plain = await answer(server, path, body)
    monkeypatch.setattr(ack_body, "read_plain", lambda *_: None)
    assert await answer(server, path, body) == plain


async def test_results_are_stored_as_they_were_sent(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bool] = []

    def noted(*arguments: Any) -> Any:
        plain = read_plain(*arguments)
        read.append(plain is not None)
        return plain

    monkeypatch.setattr(ack_body, "read_plain", noted)
    kept = []
    for more in (b"", b',"colour":"red"'):
        await server.post("/enqueue", b'{"queue":"acked"}')
        fetched = await server.post("/fetch", b'{"queues":["acked"],"worker_id":"w","timeout":0}')
        job_id, token = fetched.json["job_id"], fetched.json["lease_token"]
        ack = b'{"job_id":"%b","lease_token":"%b","result":{"n": 1.50}%b}'
        body = b'{"acks":[%b]}' % (ack % (job_id.encode(), token.encode(), more))
        assert orjson.loads((await server.post("/ack/batch", body)).body)["acked"] == 1
        kept.append(b'"result":{"n": 1.50},' in (await server.get(f"/jobs/{job_id}")).body)
    assert (read, kept) == ([True, False], [True, True])
