"""JSON documents of users are stored and returned byte for byte by every endpoint."""

import json

import pytest

from corvo_schema.nesting import MAX_CALLBACK_NESTING
from support.api_client import ApiClient

DOCUMENTS = {
    "key order": b'{"z":1,"a":2,"m":{"y":1,"b":2}}',
    "big integers": b'{"n":123456789012345678901234567890,"m":-9223372036854775809}',
    "number forms": b"[1.10,1e5,1E+05,-0,-0.0,0.1000000000000000055511151231257827]",
    "whitespace": b'{ "a" : [ 1 ,\t2,\n  3 ] }',
    "unicode as it is": '{"é":"日本語 😀","\u2028":"\u2029"}'.encode(),
    "unicode in escapes": rb'{"a":"\u00e9\ud83d\ude00\/\u0000"}',
    "doubled keys": b'{"a":1,"a":2}',
    "a bare text": b'"text"',
    "null": b"null",
    "nothing in it": b"{}",
    "html": b'"</script><!--"',
    "deep": b"[" * MAX_CALLBACK_NESTING + b"]" * MAX_CALLBACK_NESTING,
    "keys of the protocol": b'{"queue":"x","payload":{"payload":1},"job_id":7}',
}


@pytest.fixture(params=list(DOCUMENTS.values()), ids=list(DOCUMENTS))
def document(request: pytest.FixtureRequest) -> bytes:
    raw: bytes = request.param
    return raw


async def test_a_payload_is_returned_unchanged(api: ApiClient, queue: str, document: bytes) -> None:
    raw = b'{"payload":%b,"queue":"%b"}' % (document, queue.encode())
    job_id = (await api.post("/enqueue", raw=raw))["job_id"]
    shown = b'"payload":%b,' % document
    assert shown in (await api.send("GET", f"/jobs/{job_id}")).content
    ids = {"job_ids": [job_id]}
    assert shown in (await api.send("POST", "/jobs/bulk-get", ids)).content
    fetch = {"queues": [queue], "worker_id": "w", "timeout": 0}
    assert shown in (await api.send("POST", "/fetch", fetch)).content


async def test_payloads_of_a_batch_are_returned_unchanged(
    api: ApiClient, queue: str, document: bytes
) -> None:
    name = queue.encode()
    raw = b'{"jobs":[{"queue":"%b","payload":%b},{"queue":"%b"},{"payload":%b,"queue":"%b"}]}' % (
        name,
        document,
        name,
        document,
        name,
    )
    await api.post("/enqueue/batch", raw=raw)
    fetch = {"queues": [queue], "worker_id": "w", "timeout": 0, "count": 3}
    answer = (await api.send("POST", "/fetch/batch", fetch)).content
    without_one = 1 if document == b"{}" else 0
    assert answer.count(b'"payload":%b,' % document) == 2 + without_one


async def test_results_and_checkpoints_are_returned_unchanged(
    api: ApiClient, queue: str, document: bytes
) -> None:
    job_id = await api.enqueue(queue)
    leased = await api.fetch(queue)
    token = leased["lease_token"].encode()
    beat = b'{"jobs":{"%b":{"checkpoint":%b,"lease_token":"%b"}}}' % (
        job_id.encode(),
        document,
        token,
    )
    await api.post("/heartbeat", raw=beat)
    await api.post(f"/ack/{job_id}", raw=b'{"result":%b,"lease_token":"%b"}' % (document, token))
    shown = (await api.send("GET", f"/jobs/{job_id}")).content
    assert b'"checkpoint":%b,' % document in shown
    assert b'"result":%b,' % document in shown


async def test_the_callback_payload_of_a_batch_is_returned_unchanged(
    api: ApiClient, queue: str, document: bytes
) -> None:
    raw = (
        b'{"jobs":[{"queue":"%b"}],"batch":{"callback_queue":"%b.done","callback_payload":%b}}'
        % (
            queue.encode(),
            queue.encode(),
            document,
        )
    )
    await api.post("/enqueue/batch", raw=raw)
    await api.ack(await api.fetch(queue))
    fetch = {"queues": [f"{queue}.done"], "worker_id": "w", "timeout": 0}
    answer = await api.send("POST", "/fetch", fetch)
    assert b'"payload":%b}' % document in answer.content


async def test_escapes_in_a_field_name_are_decoded(api: ApiClient, queue: str) -> None:
    raw = rb'{"queu\u0065":"%b","p\u0061yload":{"a":1}}' % queue.encode()
    job_id = (await api.post("/enqueue", raw=raw))["job_id"]
    assert (await api.job(job_id))["payload"] == {"a": 1}


async def test_tags_and_errors_keep_every_character(api: ApiClient, queue: str) -> None:
    tags = {"größe 😀": 'a"b\\c', "x.y[0]": "\n\t"}
    job_id = await api.enqueue(queue, tags=tags, max_retries=1)
    leased = await api.fetch(queue)
    assert leased["tags"] == tags
    error = 'käse 😀 "quoted" \\ \n'
    body = {"error": error, "lease_token": leased["lease_token"]}
    raw = json.dumps(body, ensure_ascii=False).encode()
    assert (await api.send("POST", f"/fail/{job_id}", raw=raw)).status_code == 200
    job = await api.job(job_id)
    assert job["errors"][0]["error"] == error
    assert job["tags"] == tags


async def test_an_absent_payload_is_an_empty_object(api: ApiClient, queue: str) -> None:
    await api.post("/enqueue", {"queue": queue})
    assert (await api.fetch(queue))["payload"] == {}
