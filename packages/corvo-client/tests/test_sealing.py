"""Documents of requests and answers, with a codec that only marks what it has encoded."""

import json
import logging
from typing import Any

import httpx
import pytest

from corvo_client import (
    AboutDocument,
    AckItem,
    AlreadyEncoded,
    AsyncClient,
    BatchOptions,
    CannotDecode,
    FailItem,
    HeartbeatJob,
    PayloadTooLarge,
    Progress,
    ReleaseItem,
    ValidationFailed,
)
from corvo_client._outbox import Row, enqueue_rows
from corvo_client._sealing import Sealing

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
OTHER = "job_01ARZ3NDEKTSV4RRFFQ69G5FAW"
NOW = "2026-01-31T08:00:00.000Z"
CREATED = {"created_at": NOW}


class Marking:
    """Encodes a document as an object that says what is known of it."""

    def encode(self, document: bytes, about: AboutDocument) -> bytes:
        if document.startswith(b'{"enc":'):
            raise AlreadyEncoded("it is encoded already")
        known = [about.kind, about.job_id, about.repeat_id]
        return json.dumps({"enc": [*known, json.loads(document)]}).encode()

    def decode(self, document: bytes, about: AboutDocument) -> bytes:
        if not document.startswith(b'{"enc"'):
            return document
        kind, job_id, _, plain = json.loads(document)["enc"]
        if (kind, job_id) != (about.kind, about.job_id):
            raise CannotDecode(f"expected {about.kind} of {about.job_id}")
        return json.dumps(plain).encode()


def enc(kind: str, plain: Any, job_id: str | None = JOB_ID, repeat_id: str | None = None) -> Any:
    return {"enc": [kind, job_id, repeat_id, plain]}


def text(kind: str, plain: Any, job_id: str | None = JOB_ID) -> str:
    return json.dumps(enc(kind, plain, job_id))


@pytest.fixture
def client(server: Any) -> AsyncClient:
    return AsyncClient(transport=httpx.MockTransport(server), codec=Marking())


def encoded_payload(body: dict[str, Any], plain: Any, name: str = "payload") -> None:
    assert body[name] == enc("payload", plain, None, body["job_id"])


async def test_payloads_of_enqueues(client: AsyncClient, server: Any) -> None:
    reply = {"job_id": JOB_ID, "status": "pending"}
    for _ in range(4):
        server.answer(200, reply)
    await client.enqueue("q", {"n": 1})
    await client.enqueue("q", None, priority="high")
    await client.enqueue("q")
    await client.enqueue("q", {}, job_id=OTHER)
    first, second, third, fourth = server.bodies
    encoded_payload(first, {"n": 1})
    encoded_payload(second, None)
    encoded_payload(third, {})
    assert fourth["payload"] == enc("payload", {}, None, OTHER)
    assert second["priority"] == "high"


async def test_payloads_of_batches(client: AsyncClient, server: Any) -> None:
    for _ in range(2):
        server.answer(200, {"job_ids": [JOB_ID, OTHER], "results": []})
    jobs: list[Any] = [{"queue": "q", "payload": 1}, {"queue": "q"}]
    options = BatchOptions(callback_queue="c", callback_payload=[2])
    await client.enqueue_batch(jobs, batch=options)
    await client.enqueue_batch(jobs, batch=BatchOptions(callback_queue="c"))
    for body, plain in zip(server.bodies, ([2], {}), strict=True):
        encoded_payload(body["jobs"][0], 1)
        encoded_payload(body["jobs"][1], {})
        assert body["batch"]["callback_payload"] == enc("callback_payload", plain, None)


async def test_documents_of_reports(client: AsyncClient, server: Any) -> None:
    server.answer(200, {"status": "ok"})
    await client.ack(JOB_ID, [1], lease_token="t")
    server.answer(200, {"status": "ok"})
    await client.ack(JOB_ID, lease_token="t")
    server.answer(200, {"acked": 1, "results": []})
    await client.ack_batch([AckItem(job_id=JOB_ID, result=2)])
    server.answer(200, {"status": "retrying"})
    await client.fail(JOB_ID, "error", backtrace="back")
    server.answer(200, {"failed": 1, "released": 1, "results": []})
    await client.fail_batch([FailItem(job_id=OTHER, error="error")])
    server.answer(200, {"status": "released"})
    await client.release(JOB_ID, checkpoint={"c": 1})
    server.answer(200, {"failed": 1, "released": 1, "results": []})
    await client.release_batch([ReleaseItem(job_id=OTHER, checkpoint=2)])
    server.answer(200, {"jobs": {}})
    beat = HeartbeatJob(checkpoint=3, progress=Progress(current=1, message="m"))
    await client.heartbeat({JOB_ID: beat, OTHER: HeartbeatJob()}, worker_id="w")
    ack, empty_ack, acks, fail, fails, release, releases, beats = server.bodies
    assert ack["result"] == enc("result", [1])
    assert "result" not in empty_ack
    assert acks["acks"][0]["result"] == enc("result", 2)
    assert fail == {"error": text("error", "error"), "backtrace": text("backtrace", "back")}
    assert fails["fails"][0]["error"] == text("error", "error", OTHER)
    assert release["checkpoint"] == enc("checkpoint", {"c": 1})
    assert releases["releases"][0]["checkpoint"] == enc("checkpoint", 2, OTHER)
    assert beats["jobs"][JOB_ID]["checkpoint"] == enc("checkpoint", 3)
    assert beats["jobs"][JOB_ID]["progress"] == {"current": 1, "message": text("message", "m")}
    assert beats["jobs"][OTHER] == {}


async def test_payloads_of_schedules(client: AsyncClient, server: Any) -> None:
    stored = {"id": "s_1", "name": "s", "queue": "q", "cron": "@daily", "timezone": "UTC"}
    stored["payload"] = enc("payload", [1], None)
    for answer in (stored, stored, stored, [stored], {"status": "enqueued"}):
        server.answer(200, answer)
    put = await client.put_schedule("s", queue="q", cron="@daily", payload=[1])
    replaced = await client.replace_schedule("a/b", "s", queue="q", cron="@daily", payload=[1])
    found = await client.get_schedule("s")
    (listed,) = await client.list_schedules()
    await client.run_schedule("s")
    assert [each.payload for each in (put, replaced, found, listed)] == [[1]] * 4
    sent = [body["payload"] for body in server.bodies if body]
    assert sent == [enc("payload", [1], None)] * 2


def stored_job(**more: Any) -> dict[str, Any]:
    return {"id": JOB_ID, "queue": "q", "state": "dead", **CREATED, **more}


async def test_documents_of_jobs(client: AsyncClient, server: Any) -> None:
    event = {
        "type": "retrying",
        "job_id": JOB_ID,
        "queue": "q",
        **CREATED,
        "data": {"error": text("error", "cut")},
    }
    job = stored_job(
        payload=enc("payload", 1, None, JOB_ID),
        result=enc("result", 2),
        checkpoint=None,
        progress={"message": text("message", "m")},
        errors=[
            {"attempt": 1, "error": text("error", "e"), "backtrace": None, **CREATED},
            {"attempt": 2, "error": f"expired: {text('error', 'e')}", **CREATED},
            {"attempt": 3, "error": "{plain", **CREATED},
            {"attempt": 4, "error": '{"plain":1}', **CREATED},
        ],
        timeline=[event],
    )
    server.answer(200, job)
    server.answer(200, {"jobs": [job], "total": 1, "has_more": False})
    server.answer(200, {"jobs": [job]})
    found = await client.get_job(JOB_ID)
    assert (found.payload, found.result, found.checkpoint) == (1, 2, None)
    assert found.progress == Progress(message="m")
    assert [error.error for error in found.errors] == ["e", "expired: e", "{plain", '{"plain":1}']
    assert found.timeline[0].data == {"error": "cut"}
    assert (await client.search()).jobs == [found]
    assert await client.bulk_get([JOB_ID]) == [found]


async def test_an_unreadable_document_stays_and_is_logged_once(
    client: AsyncClient, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = enc("result", 2, OTHER)
    server.answer(200, {"jobs": [stored_job(result=wrong), stored_job(result=wrong)]})
    with caplog.at_level(logging.WARNING, "corvo.client"):
        jobs = await client.bulk_get([JOB_ID])
    assert [job.result for job in jobs] == [wrong, wrong]
    assert caplog.messages == [f"job {JOB_ID}: expected result of {JOB_ID}"]


def fetched(job_id: str = JOB_ID, **more: Any) -> dict[str, Any]:
    return {"job_id": job_id, "queue": "q", "attempt": 1, "lease_duration": 60, **more}


async def test_documents_of_fetched_jobs(client: AsyncClient, server: Any) -> None:
    counts = {"total": 1, "succeeded": 1, "failed": 0, "cancelled": 0}
    callback = {"batch_id": "b", **counts, "payload": enc("callback_payload", 5, None)}
    server.answer(200, fetched(payload=enc("payload", 1, None), checkpoint=enc("checkpoint", 2)))
    server.answer(200, {"jobs": [fetched(payload=callback), fetched(payload=[7])]})
    server.answer(204)
    job = await client.fetch(["q"], worker_id="w")
    assert job is not None
    assert (job.payload, job.checkpoint) == (1, 2)
    jobs = await client.fetch_batch(["q"], worker_id="w", count=2)
    assert [job.payload for job in jobs] == [callback | {"payload": 5}, [7]]


async def test_an_attempt_that_cannot_be_decoded_fails(client: AsyncClient, server: Any) -> None:
    wrong = fetched(payload=enc("result", 1, None), lease_token="t")
    server.answer(200, wrong)
    server.answer(200, {"status": "retrying"})
    server.answer(200, {"jobs": [wrong, fetched(OTHER)]})
    server.answer(200, {"status": "retrying"})
    with pytest.raises(CannotDecode, match="expected payload of None"):
        await client.fetch(["q"], worker_id="w")
    jobs = await client.fetch_batch(["q"], worker_id="w", count=2)
    assert [job.job_id for job in jobs] == [OTHER]
    assert server.lines[1] == server.lines[3] == f"POST /api/v1/fail/{JOB_ID}"
    assert server.bodies[1]["lease_token"] == "t"


async def test_encoded_documents_are_refused_except_those_of_an_outbox(
    client: AsyncClient, server: Any
) -> None:
    with pytest.raises(ValidationFailed, match="encoded already; send the plain document"):
        await client.enqueue("q", enc("payload", 1, None))
    rows = [
        Row(JOB_ID, json.dumps({"job_id": JOB_ID, "queue": "q", "payload": enc("payload", 1)})),
        Row(OTHER, json.dumps({"job_id": OTHER, "queue": "q", "payload": 2})),
    ]
    server.answer(200, {"job_ids": [JOB_ID, OTHER], "results": []})
    await client.send(enqueue_rows(rows))
    sealed, plain = server.bodies[0]["jobs"]
    assert sealed["payload"] == enc("payload", 1)
    encoded_payload(plain, 2)


async def test_a_repeated_request_has_the_same_payload(client: AsyncClient, server: Any) -> None:
    server.refuse(503, "UNAVAILABLE")
    server.answer(200, {"job_id": JOB_ID, "status": "pending"})
    await client.enqueue("q", 1)
    first, second = server.bodies
    assert first == second


async def test_a_too_large_document_is_explained(client: AsyncClient, server: Any) -> None:
    server.refuse(413, "PAYLOAD_TOO_LARGE", "payload has 9 bytes, the limit is 8.")
    with pytest.raises(PayloadTooLarge, match=r"the limit is 8; .*a third larger"):
        await client.enqueue("q", 1)
    server.answer(413, b"<html>a proxy")
    with pytest.raises(PayloadTooLarge, match="not from a Corvo server"):
        await client.enqueue("q", 1)


async def test_other_answers_are_unchanged(client: AsyncClient, server: Any) -> None:
    server.answer(200, b"not json")
    with pytest.raises(Exception, match="not what a Corvo server"):
        await client.get_job(JOB_ID)
    server.answer(200, [])
    assert await client.list_queues() == []


def test_events() -> None:
    sealing = Sealing(Marking())
    event = {"job_id": JOB_ID, "data": {"error": text("error", "e"), "attempt": 1}}
    data = sealing.opened_message("/api/v1/events?types=dead", json.dumps(event).encode())
    assert json.loads(data)["data"] == {"error": "e", "attempt": 1}
    other = json.dumps(event).encode()
    assert sealing.opened_message("/api/v1/bulk/b/progress", other) == other
    quiet = b'{"job_id":"j","data":null}'
    assert sealing.opened_message("/api/v1/events", quiet) == quiet


async def test_long_texts_are_cut_before_they_are_encoded(client: AsyncClient, server: Any) -> None:
    server.answer(200, {"status": "retrying"})
    await client.fail(JOB_ID, "é" * 9_000, backtrace="é" * 9_000)
    body = server.bodies[0]
    error = json.loads(body["error"])["enc"][3]
    assert error.startswith("é")
    assert error.endswith("é")
    assert 11_000 < len(error.encode()) < 12_000
    assert "left out" in error
    assert json.loads(body["backtrace"])["enc"][3] == "é" * 9_000
