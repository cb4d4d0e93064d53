"""Enqueues without options have their own parser. Its results are those of the models."""

from typing import Any

import pytest

from corvo_schema import MAX_BATCH_JOBS, new_job_id
from corvo_server.http import enqueue_body
from corvo_server.http.body import read_plain
from server_support.http import HttpServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAYLOADS = {
    "object": b'{"a": 1.50,  "b": [true, null]}',
    "null": b"null",
    "text": '"é\\u00e9\\n"'.encode(),
    "big integer": b"123456789012345678901234567890",
    "NUL in a text": b'"\\u0000"',
    "number that is too large": b"1e999",
    "number with a zero before it": b"01",
    "number without an end": b"1.",
    "not a number": b"NaN",
    "lone surrogate": b'"\\ud800"',
    "control character": b'"\x01"',
    "wrong escape": b'"\\x"',
    "wrong UTF-8": b'"\xff"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "surrogate in UTF-8": b'"\xed\xa0\x80"',
    "trailing comma": b"[1,]",
    "missing colon": b'{"a" 1}',
    "key that is no text": b"{1: 2}",
    "word": b"tru",
    "open bracket": b"[",
    "comment": b"1 /* one */",
    "nothing": b"",
    "deep": b"[" * 900 + b"]" * 900,
    "too deep": b"[" * 5000 + b"]" * 5000,
}
JOBS = {
    "queue": b'{"queue":"%(queue)b"}',
    "queue by an escape": b'{"qu\\u0065ue":"%(queue)b"}',
    "queue of wrong UTF-8": b'{"queue":"\xff"}',
    "queue twice": b'{"queue":"other","queue":"%(queue)b"}',
    "wrong queue before the right one": b'{"queue":1,"queue":"%(queue)b"}',
    "right queue before a wrong one": b'{"queue":"%(queue)b","queue":"a b"}',
    "payload twice": b'{"queue":"%(queue)b","payload":1,"payload":2}',
    "id": b'{"queue":"%(queue)b","job_id":"%(id)b"}',
    "no id": b'{"queue":"%(queue)b","job_id":null}',
    "lower-case id": b'{"queue":"%(queue)b","job_id":"job_01arz3ndektsv4rrffq69g5fav"}',
    "id with more behind": b'{"queue":"%(queue)b","job_id":"%(id)b\\n"}',
    "id that is a number": b'{"queue":"%(queue)b","job_id":1}',
    "unknown field": b'{"queue":"%(queue)b","colour":"red"}',
    "option": b'{"queue":"%(queue)b","max_retries":7}',
    "no queue": b'{"payload":1}',
    "queue null": b'{"queue":null}',
    "empty queue": b'{"queue":""}',
    "queue of wrong letters": b'{"queue":"a b"}',
    "long queue": b'{"queue":"%b"}' % (b"a" * 256),
    "list": b"[]",
    "null": b"null",
} | {
    f"payload: {name}": b'{"queue":"%%(queue)b","payload":%b}' % payload
    for name, payload in PAYLOADS.items()
}
BATCHES = {
    "one": b'{"jobs":[%b]}',
    "no batch": b'{"jobs":[%b],"batch":null}',
    "batch": b'{"jobs":[%b],"batch":{}}',
    "unknown field": b'{"jobs":[%b],"colour":"red"}',
    "jobs twice": b'{"jobs":[],"jobs":[%b]}',
    "byte order mark": b'\xef\xbb\xbf{"jobs":[%b]}',
    "more behind": b'{"jobs":[%b]} 1',
}


async def answers(server: HttpServer, path: str, body: bytes, queue: str) -> list[Any]:
    """Return the reply to a body and the jobs stored after it."""
    names = {b"queue": queue.encode(), b"id": new_job_id().encode()}
    reply = await server.post(path, body % names)
    answer = reply.json
    for member in ("request_id", "batch_id"):
        answer.pop(member, None)
    ids = answer.pop("job_ids", None) or [answer.pop("job_id", None)]
    for result in answer.get("results", ()):
        assert result.pop("job_id") in ids
    jobs = []
    for job_id in ids:
        if job_id is not None:
            stored = (await server.get(f"/jobs/{job_id}")).body
            jobs.append(stored.partition(b'"payload":')[2].partition(b',"priority"')[0])
    has_own_id = ids == [names[b"id"].decode()]
    return [reply.status, answer, jobs, has_own_id]


async def both(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes
) -> tuple[list[Any], bool]:
    """Check that both parsers give the same reply. Return it, and whether the body was plain."""
    taken: list[bool] = []

    def read(*arguments: Any) -> Any:
        plain = read_plain(*arguments)
        taken.append(plain is not None)
        return plain

    monkeypatch.setattr(enqueue_body, "read_plain", read)
    first = await answers(server, path, body, "plain")
    monkeypatch.setattr(enqueue_body, "read_plain", lambda *_: None)
    assert first == await answers(server, path, body, "plain")
    return first, any(taken)


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
async def test_both_parsers_of_a_job_agree(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, job: bytes
) -> None:
    alone, _ = await both(server, monkeypatch, "/enqueue", job)
    among, _ = await both(server, monkeypatch, "/enqueue/batch", b'{"jobs":[%b]}' % job)
    assert (alone[0] < 400) == (among[0] < 400)


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("jobs", [0, 1, 3])
async def test_both_parsers_of_a_batch_agree(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, batch: bytes, jobs: int
) -> None:
    await both(server, monkeypatch, "/enqueue/batch", batch % b",".join([JOBS["queue"]] * jobs))


async def test_both_parsers_refuse_too_many_jobs(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = BATCHES["one"] % b",".join([JOBS["queue"]] * (MAX_BATCH_JOBS + 1))
    (status, *_), is_plain = await both(server, monkeypatch, "/enqueue/batch", body)
    assert (status, is_plain) == (400, False)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/enqueue", JOBS["id"]),
        ("/enqueue", JOBS["payload: object"]),
        ("/enqueue/batch", b'{"jobs":[%b,%b]}' % (JOBS["queue"], JOBS["payload: null"])),
    ],
)
async def test_plain_body_uses_the_plain_parser(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes
) -> None:
    (status, *_), is_plain = await both(server, monkeypatch, path, body)
    assert (status, is_plain) == (201, True)
