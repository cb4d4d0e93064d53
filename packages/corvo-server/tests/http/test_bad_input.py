"""Bad input gets a 4xx reply that names the field, and changes nothing."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
import pytest

from corvo_schema import new_job_id
from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine.engine import Engine, Policy
from corvo_server.engine.payloads import SizeLimits
from server_support.bench import Bench, turns
from server_support.http import API, HttpServer, Reply, request, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")

E = ErrorCode
NOBODY = "job_00000000000000000000000000"
MAIL = {"queue": "mail"}
DEEP_MAIL = {"queue": "mail", "payload": "DEEP"}


class Case(NamedTuple):
    """A request and the expected error."""

    name: str
    path: str
    body: Any
    code: ErrorCode
    field: str | None = None


def wrong(name: str, path: str, body: Any, field: str) -> Case:
    """Return a case whose body has one invalid field."""
    return Case(name, path, body, E.VALIDATION_ERROR, field)


def enqueue(name: str, field: str, value: Any) -> Case:
    """Return an enqueue with one invalid field."""
    return wrong(f"enqueue {name}", "/enqueue", {"queue": "mail", field: value}, field)


def broken(name: str, text: bytes, path: str = "/enqueue") -> Case:
    """Return a case whose body is not JSON."""
    return Case(f"broken {name}", path, text, E.PARSE_ERROR, "body")


def nested(levels: int) -> bytes:
    return b'{"queue":"mail","payload":' + b"[" * levels + b"]" * levels + b"}"


def deep(name: str, path: str, body: Any, field: str) -> Case:
    """Return a case with a document that has a level too many."""
    text = body if isinstance(body, bytes) else orjson.dumps(body)
    text = text.replace(b'"DEEP"', b"[" * 191 + b"]" * 191)
    return wrong(f"deep {name}", path, text, field)


def fetch(name: str, field: str, value: Any) -> Case:
    body = {"queues": ["mail"], "worker_id": "w", "timeout": 0, field: value}
    path = "/fetch/batch" if field == "count" else "/fetch"
    return wrong(f"fetch {name}", path, body, field)


CASES = [
    # Bodies that are not JSON
    broken("cut off", b'{"queue": "mail"'),
    broken("only blanks", b"   "),
    broken("word", b"hello"),
    broken("trailing comma", b'{"queue": "mail",}'),
    broken("single quotes", b"{'queue': 'mail'}"),
    broken("comment", b'{"queue": "mail"} // why'),
    broken("two documents", b'{"queue": "mail"}{"queue": "mail"}'),
    broken("NaN", b'{"queue": "mail", "payload": NaN}'),
    broken("Infinity", b'{"queue": "mail", "payload": -Infinity}'),
    broken("number beyond all bounds", b'{"queue": "mail", "payload": 1e999}'),
    broken("ten thousand digits", b'{"queue": "mail", "payload": ' + b"9" * 10_000 + b"}"),
    broken("ten thousand levels", nested(10_000)),
    broken("a million levels", nested(1_000_000)),
    broken("a level too many", nested(1024)),
    broken("lone surrogate", b'{"queue": "mail", "payload": "\\ud800"}'),
    broken("lone surrogate in a key", b'{"queue": "mail", "payload": {"\\udfff": 1}}'),
    broken("no UTF-8", b'{"queue": "mail", "payload": "\xff"}'),
    broken("surrogate as UTF-8", b'{"queue": "mail", "payload": "\xed\xa0\x80"}'),
    broken("byte order mark", b'\xef\xbb\xbf{"queue": "mail"}'),
    broken("UTF-16", '{"queue": "mail"}'.encode("utf-16")),
    broken("control character", b'{"queue": "mail", "payload": "\x01"}'),
    broken("NUL", b"\0"),
    broken("ack", b'{"result": }', f"/ack/{NOBODY}"),
    broken("fail", b'{"error": NaN}', f"/fail/{NOBODY}"),
    broken("fail with surrogate and NaN", b'{"error": "\\ud800", "x": NaN}', f"/fail/{NOBODY}"),
    broken("deep fail", b'{"error": "\\ud800", "x": ' + b"[" * 9999, f"/fail/{NOBODY}"),
    broken("heartbeat", b'{"jobs": {', "/heartbeat"),
    broken("batch", b'{"jobs": [}', "/enqueue/batch"),
    # Documents of more than 190 levels
    *(
        deep(f"payload of {levels} levels", "/enqueue", nested(levels), "payload")
        for levels in (191, 500)
    ),
    wrong(
        "deep objects",
        "/enqueue",
        b'{"queue":"mail","payload":' + b'{"[": ' * 191 + b"0" + b"}" * 191 + b"}",
        "payload",
    ),
    deep("payload with options", "/enqueue", {**MAIL, "payload": "DEEP", "tags": {}}, "payload"),
    deep("second job", "/enqueue/batch", {"jobs": [MAIL, DEEP_MAIL]}, "jobs[1].payload"),
    deep(
        "callback",
        "/enqueue/batch",
        {"jobs": [MAIL], "batch": {"callback_queue": "mail", "callback_payload": "DEEP"}},
        "batch.callback_payload",
    ),
    deep("schedule", "/schedules", {**DEEP_MAIL, "name": "s", "cron": "@daily"}, "payload"),
    deep("result", f"/ack/{NOBODY}", {"result": "DEEP"}, "result"),
    deep(
        "result in a batch",
        "/ack/batch",
        {"acks": [{"job_id": NOBODY}, {"job_id": NOBODY, "result": "DEEP"}]},
        "acks[1].result",
    ),
    deep("released checkpoint", f"/release/{NOBODY}", {"checkpoint": "DEEP"}, "checkpoint"),
    deep(
        "released checkpoint in a batch",
        "/release/batch",
        {"releases": [{"job_id": NOBODY, "checkpoint": "DEEP"}]},
        "releases[0].checkpoint",
    ),
    deep(
        "checkpoint",
        "/heartbeat",
        {"jobs": {NOBODY: {"checkpoint": "DEEP"}}},
        f"jobs.{NOBODY}.checkpoint",
    ),
    # Duplicate members of which only the last is valid
    broken("jobs twice", b'{"jobs": 5, "jobs": [{"queue": "mail"}]}', "/enqueue/batch"),
    broken(
        "batch twice", b'{"batch": 5, "batch": null, "jobs": [{"queue": "m"}]}', "/enqueue/batch"
    ),
    broken("heartbeat's jobs twice", b'{"jobs": 5, "jobs": {"a": {}}}', "/heartbeat"),
    broken("heartbeat's job twice", b'{"jobs": {"a": 5, "a": {}}}', "/heartbeat"),
    broken("acks twice", b'{"acks": 5, "acks": [{"job_id": "a"}]}', "/ack/batch"),
    broken("releases twice", b'{"releases": 5, "releases": [{"job_id": "a"}]}', "/release/batch"),
    # JSON that is not an object
    *(
        wrong(f"body is {text}", path, text.encode(), "body")
        for path in ("/enqueue", "/enqueue/batch", "/fetch", f"/ack/{NOBODY}", "/heartbeat")
        for text in ("[]", "null", '"text"', "5", "true", '[{"queue": "mail"}]')
    ),
    # Missing fields
    wrong("empty body", "/enqueue", b"", "queue"),
    wrong("empty object", "/enqueue", {}, "queue"),
    wrong("empty batch body", "/enqueue/batch", b"", "jobs"),
    wrong("null for a field", "/enqueue", {"queue": None}, "queue"),
    wrong("fetch without worker", "/fetch", {"queues": ["mail"]}, "worker_id"),
    wrong("fail without error", f"/fail/{NOBODY}", {}, "error"),
    wrong("ack of no id", "/ack/batch", {"acks": [{}]}, "acks[0].job_id"),
    wrong("acks of null", "/ack/batch", {"acks": None}, "acks"),
    wrong("bulk-get of nothing", "/jobs/bulk-get", {}, "job_ids"),
    # Invalid fields
    *(
        enqueue(f"queue {name}", "queue", value)
        for name, value in {
            "of 300 characters": "q" * 300,
            "of 256 characters": "q" * 256,
            "empty": "",
            "with a blank": "a b",
            "with a newline": "mail\n",
            "with an umlaut": "müll",
            "with a NUL": "a\0",
            "a number": 5,
            "a list": ["mail"],
            "an object": {},
            "true": True,
        }.items()
    ),
    *(
        enqueue(f"max_retries {value!r}"[:60], "max_retries", value)
        for value in (-1, 1.5, "3", True, [], 1_000_001, 10**18, 2**64 - 1)
    ),
    wrong(
        "huge max_retries",
        "/enqueue",
        b'{"queue":"mail","max_retries":' + b"9" * 60 + b"}",
        "max_retries",
    ),
    *(
        enqueue(f"priority {value!r}", "priority", value)
        for value in ("urgent", 3, -1, True, 1.5, [])
    ),
    *(
        enqueue(f"backoff {value!r}", "retry_backoff", value)
        for value in ("quadratic", "", 1, "FIXED", {})
    ),
    *(
        enqueue(f"{field} {value!r}", field, value)
        for field in ("retry_base_delay", "retry_max_delay", "expire_after")
        for value in ("5", "-5s", "5 s", "1s1h", "", 5, -1, "9999d", "1e3s", True, [])
    ),
    *(
        enqueue(f"unique_period {value!r}", "unique_period", value)
        for value in (-1, 0, 0.0, -0.0, 0.0004, "0s", "0d0ms", "0.0001s", 1e300, "soon", True, [])
    ),
    *(
        wrong(f"schedule unique_period {value!r}", "/schedules", body, "unique_period")
        for value in (0, "0s", -1)
        for body in [{"name": "n", "queue": "q", "cron": "@daily", "unique_period": value}]
    ),
    wrong(
        "unique_period 0 in a batch",
        "/enqueue/batch",
        {"jobs": [{"queue": "mail"}, {"queue": "mail", "unique_key": "k", "unique_period": 0}]},
        "jobs[1].unique_period",
    ),
    *(
        enqueue(f"unique_period {value!r}", "unique_period", value)
        for value in (2**53, {}, "0", "")
    ),
    *(
        enqueue(f"scheduled_at {value!r}", "scheduled_at", value)
        for value in (
            "2026-01-01T00:00:00",
            "2026-01-01",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "tomorrow",
            "",
            1_800_000_000,
            "0001-01-01T00:00:00+14:00",
            "2026-01-01T00:00:00+25:00",
            True,
        )
    ),
    *(
        enqueue(f"unique_key {name}", "unique_key", value)
        for name, value in {"empty": "", "long": "k" * 1025, "NUL": "\0", "number": 5}.items()
    ),
    *(
        enqueue(f"job_id {value!r}", "job_id", value)
        for value in (
            "",
            "x",
            5,
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "job_01arz3ndektsv4rrffq69g5fav",
            "job_81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "job_01ARZ3NDEKTSV4RRFFQ69G5FA",
            "job_01ARZ3NDEKTSV4RRFFQ69G5FAVX",
            "job_01ARZ3NDEKTSV4RRFFQ69G5FAI",
            "batch_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "job_01ARZ3NDEKTSV4RRFFQ69G5FAV\n",
        )
    ),
    *(
        wrong(f"tags {name}", "/enqueue", {"queue": "mail", "tags": value}, field)
        for name, value, field in (
            ("a list", [], "tags"),
            ("a number in it", {"a": 5}, "tags.a"),
            ("a null in it", {"a b": None}, 'tags["a b"]'),
            ("too many", {str(i): "" for i in range(65)}, "tags"),
            ("long value", {"a": "v" * 1025}, "tags"),
            ("empty key", {"": "v"}, "tags"),
            ("NUL", {"a": "\0"}, "tags"),
        )
    ),
    # Batches
    wrong("no jobs", "/enqueue/batch", {"jobs": []}, "jobs"),
    wrong("jobs as object", "/enqueue/batch", {"jobs": {}}, "jobs"),
    wrong("null job", "/enqueue/batch", {"jobs": [None]}, "jobs[0]"),
    wrong(
        "third job bad",
        "/enqueue/batch",
        {"jobs": [{"queue": "mail"}, {"queue": "mail"}, {"queue": 5}]},
        "jobs[2].queue",
    ),
    wrong(
        "too many jobs",
        "/enqueue/batch",
        {"jobs": [{"queue": "mail"}] * 10_001},
        "jobs",
    ),
    wrong(
        "batch without queue",
        "/enqueue/batch",
        {"jobs": [{"queue": "mail"}], "batch": {}},
        "batch.callback_queue",
    ),
    wrong(
        "typo in strict mode",
        "/enqueue?strict=true",
        {"queue": "mail", "max_retrys": 5},
        "max_retrys",
    ),
    wrong(
        "nested typo in strict mode",
        "/enqueue/batch?strict=true",
        {"jobs": [{"queue": "mail", "quue": 5}]},
        "jobs[0].quue",
    ),
    # Workers
    fetch("from no queue", "queues", []),
    fetch("from a word", "queues", "mail"),
    fetch("from too many queues", "queues", ["mail"] * 257),
    fetch("timeout too long", "timeout", 61),
    fetch("timeout negative", "timeout", -1),
    fetch("timeout word", "timeout", "long"),
    fetch("lease of nothing", "lease_duration", 0),
    fetch("lease of two days", "lease_duration", 172_800),
    *(fetch(f"fenced {value!r}", "fenced", value) for value in (1, "true", "", [], {})),
    fetch("worker empty", "worker_id", ""),
    fetch("worker long", "worker_id", "w" * 256),
    fetch("worker number", "worker_id", 5),
    fetch("hostname list", "hostname", []),
    *(fetch(f"count {value!r}", "count", value) for value in (0, -1, 513, 1.5, "1", True)),
    wrong("fetch bad name", "/fetch", {"queues": ["a b"], "worker_id": "w"}, "queues[0]"),
    wrong("fail with a number", f"/fail/{NOBODY}", {"error": 5}, "error"),
    wrong("fail retry word", f"/fail/{NOBODY}", {"error": "x", "retry": "no"}, "retry"),
    wrong(
        "fail surrogate token",
        f"/fail/{NOBODY}",
        b'{"error": "x", "lease_token": "\\ud800"}',
        "lease_token",
    ),
    wrong("token number", f"/ack/{NOBODY}", {"lease_token": 5}, "lease_token"),
    wrong("token empty", f"/ack/{NOBODY}", {"lease_token": ""}, "lease_token"),
    wrong("delay number", f"/release/{NOBODY}", {"delay": 5}, "delay"),
    wrong("too many acks", "/ack/batch", {"acks": [{"job_id": "x"}] * 513}, "acks"),
    wrong(
        "ack of a number",
        "/ack/batch",
        {"acks": [{"job_id": "x"}, {"job_id": 5}]},
        "acks[1].job_id",
    ),
    wrong("heartbeat of a list", "/heartbeat", {"jobs": []}, "jobs"),
    wrong("heartbeat of null", "/heartbeat", {"jobs": {"a": None}}, "jobs.a"),
    wrong(
        "progress word",
        "/heartbeat",
        {"jobs": {"a": {"progress": {"current": "x"}}}},
        "jobs.a.progress.current",
    ),
    wrong("bulk-get word", "/jobs/bulk-get", {"job_ids": "x"}, "job_ids"),
    wrong("bulk-get empty id", "/jobs/bulk-get", {"job_ids": ["x", ""]}, "job_ids[1]"),
    # Unknown names
    *(
        Case(f"{verb} nobody", f"/{verb}/{NOBODY}", body, E.NOT_FOUND)
        for verb, body in {"ack": {}, "fail": {"error": "x"}, "release": {}}.items()
    ),
    Case("cancel nobody", f"/jobs/{NOBODY}/cancel", b"", E.NOT_FOUND),
    Case("retry nobody", f"/jobs/{NOBODY}/retry", b"", E.NOT_FOUND),
    Case("ack of a word", "/ack/tomorrow", {}, E.NOT_FOUND),
    Case("ack of NUL", "/ack/%00", {}, E.NOT_FOUND),
    Case("ack of no UTF-8", "/ack/%ff%fe", {}, E.NOT_FOUND),
    Case("ack of a surrogate", "/ack/%ed%a0%80", {}, E.NOT_FOUND),
    Case("ack of a path", "/ack/a%2Fb", {}, E.NOT_FOUND),
    Case("ack of SQL", "/ack/'%20OR%20'1'='1", {}, E.NOT_FOUND),
    Case("ack of a long word", "/ack/" + "x" * 4000, {}, E.NOT_FOUND),
    Case("no such route", "/nothing", {}, E.NOT_FOUND),
    # Names in the path
    wrong("pause of 256 characters", f"/queues/{'q' * 256}/pause", b"", "name"),
    wrong("pause of a blank", "/queues/a%20b/pause", b"", "name"),
    wrong("pause of NUL", "/queues/%00/pause", b"", "name"),
    wrong("pause of an umlaut", "/queues/m%C3%BCll/pause", b"", "name"),
]


def rows(bench: Bench) -> list[int]:
    """Return the row counts of the tables that requests write."""
    tables = ("jobs", "queues", "events", "batches", "unique_locks", "job_failures")
    return [bench.kit.count_rows(table) for table in tables]


def check_error(reply: Reply, code: ErrorCode, field: str | None = None) -> dict[str, Any]:
    """Check the shape of an error reply, and that it leaks no internals. Return its body."""
    assert reply.status == code.http_status, reply.body[:500]
    assert reply.headers["content-type"] == "application/json"
    body: dict[str, Any] = reply.json
    assert body["code"] == code
    assert isinstance(body["error"], str)
    assert len(body["error"]) < 5000
    assert body["request_id"] == reply.headers["x-request-id"]
    assert set(body) <= {"error", "code", "details", "request_id"}
    assert b"Traceback" not in reply.body
    assert b".py" not in reply.body
    if field is not None:
        fields = [detail["field"] for detail in body["details"]]
        assert field in fields, fields
        assert all(detail["message"] for detail in body["details"])
    return body


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_bad_input_is_refused_and_changes_nothing(
    bench: Bench, server: HttpServer, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    job = await bench.start(queue="other")
    before = rows(bench), await bench.job(job)
    reply = await server.post(case.path, case.body)
    check_error(reply, case.code, case.field)
    assert (rows(bench), await bench.job(job)) == before
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert (await server.call("GET", "/healthz")).status == 200


async def test_errors_of_many_fields_are_listed_up_to_a_limit(
    server: HttpServer,
) -> None:
    reply = await server.post(
        "/enqueue", {"queue": 5, "max_retries": -1, "scheduled_at": "x", "tags": []}
    )
    body = check_error(reply, E.VALIDATION_ERROR, "max_retries")
    assert [detail["field"] for detail in body["details"]] == [
        "max_retries",
        "tags",
        "queue",
        "scheduled_at",
    ]
    assert "(and 3 more)" in body["error"]
    reply = await server.post("/enqueue/batch", {"jobs": [{"queue": 5}] * 5000})
    body = check_error(reply, E.VALIDATION_ERROR, "jobs[0].queue")
    assert "(and 4999 more)" in body["error"]
    assert len(reply.body) < 10_000


async def test_token_of_another_job_is_refused(bench: Bench, server: HttpServer) -> None:
    job, other = [await bench.start(queue="tokens") for _ in range(2)]
    for verb, body in {"ack": {}, "fail": {"error": "x"}, "release": {}}.items():
        told = {**body, "lease_token": other.head.lease_token}
        reply = await server.post(f"/{verb}/{job.head.id}", told)
        assert "lease token" in check_error(reply, E.LEASE_LOST)["error"]
    assert await bench.state(job) is JobState.ACTIVE


async def test_second_ack_without_token_is_refused(bench: Bench, server: HttpServer) -> None:
    job = await bench.start(queue="acks")
    assert (await server.post(f"/ack/{job.head.id}", {})).status == 200
    body = check_error(await server.post(f"/ack/{job.head.id}", {}), E.INVALID_STATE)
    assert "completed" in body["error"]


async def test_second_ack_with_token_succeeds(bench: Bench, server: HttpServer) -> None:
    job = await bench.start(queue="acks")
    for _ in range(2):
        reply = await server.post(f"/ack/{job.head.id}", {"lease_token": job.head.lease_token})
        assert (reply.status, reply.json) == (200, {"status": "ok"})


async def test_error_report_may_contain_any_characters(bench: Bench, server: HttpServer) -> None:
    job = await bench.start(queue="reports")
    reply = await server.post(
        f"/fail/{job.head.id}", b'{"error": "half \\ud83d of \\u0000 it", "backtrace": "\\udc00"}'
    )
    assert (reply.status, reply.json["status"]) == (200, "retrying")
    (failure,) = (await bench.job(job)).failures
    assert (failure.error, failure.backtrace) == ("half \ufffd of \ufffd it", "\ufffd")


async def test_error_reports_of_a_batch_may_contain_any_characters(
    bench: Bench, server: HttpServer
) -> None:
    job = await bench.start(queue="reports")
    text = b'{"fails": [{"job_id": "%s", "error": "\\ud83d"}]}' % job.head.id.encode()
    reply = await server.post("/fail/batch", text)
    assert (reply.status, reply.json["failed"]) == (200, 1)
    assert await bench.errors(job) == ["\ufffd"]


async def test_bad_item_of_a_batch_fails_alone(bench: Bench, server: HttpServer) -> None:
    job = await bench.start(queue="reports")
    acks = [
        {"job_id": "tomorrow"},
        {"job_id": job.head.id, "lease_token": "wrong"},
        {"job_id": job.head.id, "lease_token": job.head.lease_token, "result": 5},
        {"job_id": "x" * 255},
    ]
    reply = await server.post("/ack/batch", {"acks": acks})
    assert (reply.status, reply.json["acked"]) == (200, 1)
    assert [result.get("code") for result in reply.json["results"]] == [
        E.NOT_FOUND,
        E.LEASE_LOST,
        None,
        E.NOT_FOUND,
    ]
    assert await bench.state(job) is JobState.COMPLETED


# Sizes


async def test_payload_over_the_limit_is_refused(bench: Bench, server: HttpServer) -> None:
    most = 256 * 1024
    fits = {"queue": "mail", "payload": "x" * (most - 2)}
    assert (await server.post("/enqueue", fits)).status == 201
    before = rows(bench)
    over = {"queue": "mail", "payload": "x" * (most - 1)}
    body = check_error(await server.post("/enqueue", over), E.PAYLOAD_TOO_LARGE, "payload")
    assert str(most) in body["error"]
    reply = await server.post("/enqueue/batch", {"jobs": [{"queue": "mail"}, over]})
    check_error(reply, E.PAYLOAD_TOO_LARGE, "jobs[1].payload")
    assert rows(bench) == before


@pytest.mark.parametrize(
    ("path", "kind", "field", "body"),
    [
        ("/ack/{job}", "result", "result", lambda _, big: {"result": big}),
        (
            "/ack/batch",
            "result",
            "acks[1].result",
            lambda job, big: {"acks": [{"job_id": "job_x"}, {"job_id": job, "result": big}]},
        ),
        ("/release/{job}", "checkpoint", "checkpoint", lambda _, big: {"checkpoint": big}),
        (
            "/release/batch",
            "checkpoint",
            "releases[0].checkpoint",
            lambda job, big: {"releases": [{"job_id": job, "checkpoint": big}]},
        ),
        (
            "/heartbeat",
            "checkpoint",
            "jobs.{job}.checkpoint",
            lambda job, big: {"jobs": {job: {"checkpoint": big}}},
        ),
        (
            "/heartbeat",
            "progress",
            "jobs.{job}.progress",
            lambda job, big: {"jobs": {job: {"progress": {"message": big}}}},
        ),
    ],
)
async def test_document_over_its_limit_fails_the_whole_request(
    bench: Bench, path: str, kind: str, field: str, body: Callable[[str, str], Any]
) -> None:
    limit = 100
    policy = Policy(limits=SizeLimits(**{kind: limit}))
    job = (await bench.start()).head.id
    async with serve(Engine(bench.store, clock=bench.clock, policy=policy)) as server:
        before = await bench.job(job)
        over = await server.post(path.format(job=job), body(job, "é" * (limit // 2)))
        told = check_error(over, E.PAYLOAD_TOO_LARGE, field.format(job=job))
        assert f"the limit is {limit}" in told["error"]
        assert await bench.job(job) == before
        fits = await server.post(path.format(job=job), body(job, "é" * (limit // 4)))
        assert fits.status == 200


@pytest.mark.parametrize("is_declared", [True, False])
async def test_body_of_10_mb_is_refused(
    bench: Bench, server: HttpServer, is_declared: bool
) -> None:
    before = rows(bench)
    data = b'{"queue": "mail", "payload": "' + b"x" * 10_000_000 + b'"}'
    if is_declared:
        message = request("POST", f"{API}/enqueue", data)
    else:
        message = request(
            "POST", f"{API}/enqueue", b"", headers={"transfer-encoding": "chunked",
            "content-type": "application/json"},
        ).replace(b"content-length: 0\r\n", b"")  # fmt: skip
        chunk = data[:1_000_000]
        message += b"%x\r\n%s\r\n" % (len(chunk), chunk) * 10 + b"0\r\n\r\n"
    connection = await server.connect()
    sending = asyncio.ensure_future(connection.send(message))
    reply = await asyncio.wait_for(connection.receive(), 10)
    body = check_error(reply, E.PAYLOAD_TOO_LARGE, "body")
    assert "8388608" in body["error"]
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert rows(bench) == before
    assert (await server.post("/enqueue", {"queue": "mail"})).status == 201


async def test_size_limit_applies_to_later_requests_of_the_connection(
    bench: Bench,
) -> None:
    before = rows(bench)
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, max_body_bytes=2000) as server:
        connection = await server.connect()
        for _ in range(3):
            too_large = {"queue": "mail", "payload": "x" * 3000}
            await connection.send(request("POST", f"{API}/enqueue", too_large))
            check_error(await connection.receive(), E.PAYLOAD_TOO_LARGE, "body")
            if await closed(connection):
                connection = await server.connect()
    assert rows(bench) == before


async def closed(connection: Any) -> bool:
    """Return whether the server has closed the connection."""
    await turns()
    try:
        return await asyncio.wait_for(connection.at_end(), 0.05)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


async def test_headers_may_be_larger_than_bodies(bench: Bench) -> None:
    engine = Engine(bench.store, clock=bench.clock)
    async with serve(engine, max_body_bytes=1024) as server:
        check_error(await server.post("/ack/" + "x" * 4000, {}), E.NOT_FOUND)


async def test_headers_that_are_too_large_are_refused(server: HttpServer) -> None:
    for message in (
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nbig: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ):
        body = check_error(await server.raw(message), E.PAYLOAD_TOO_LARGE, "headers")
        assert "headers" in body["error"]


# Media types


@pytest.mark.parametrize(
    "declared", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json", ""]
)
async def test_body_without_the_json_media_type_is_refused(
    bench: Bench, server: HttpServer, declared: str
) -> None:
    before = rows(bench)
    headers = {"content-type": declared}
    reply = await server.post("/enqueue", b'{"queue": "mail"}', headers=headers)
    body = check_error(reply, E.UNSUPPORTED_MEDIA_TYPE)
    assert "application/json" in body["error"]
    assert rows(bench) == before


@pytest.mark.parametrize(
    "declared", ["application/json", "Application/JSON", "application/json; charset=utf-8"]
)
async def test_body_with_the_json_media_type_is_accepted(server: HttpServer, declared: str) -> None:
    headers = {"content-type": declared}
    assert (await server.post("/enqueue", {"queue": "mail"}, headers=headers)).status == 201


# Methods and routes


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", f"{API}/enqueue", "POST"),
        ("PUT", f"{API}/enqueue", "POST"),
        ("PATCH", f"{API}/enqueue", "POST"),
        ("OPTIONS", f"{API}/enqueue", "POST"),
        ("BREW", f"{API}/enqueue", "POST"),
        ("DELETE", f"{API}/queues", "GET, HEAD"),
        ("GET", f"{API}/queues/a/throttle", "POST, DELETE"),
        ("PATCH", f"{API}/schedules/a", "GET, HEAD, PUT, DELETE"),
        ("POST", f"{API}/info", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
async def test_unsupported_method_is_refused(
    server: HttpServer, method: str, path: str, allowed: str
) -> None:
    reply = await server.call(method, path)
    body = check_error(reply, E.METHOD_NOT_ALLOWED)
    assert reply.headers["allow"] == allowed
    assert method in body["error"]


@pytest.mark.parametrize("path", ["/healthz", f"{API}/queues", f"{API}/jobs/none"])
async def test_head_is_answered_as_get_without_the_body(server: HttpServer, path: str) -> None:
    connection = await server.connect()
    replies = []
    for method in ("HEAD", "GET"):
        await connection.send(request(method, path, headers={"X-Request-ID": "one"}))
        replies.append(await connection.receive(has_body=method == "GET"))
    head, get = replies
    assert (head.status, head.headers) == (get.status, get.headers)
    assert int(head.headers["content-length"]) == len(get.body)


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/api/v2/enqueue", "//healthz", "/healthz/x", "/%2e%2e/x"]
)
async def test_unknown_route_is_not_found(server: HttpServer, path: str) -> None:
    body = check_error(await server.call("GET", path), E.NOT_FOUND)
    assert "/api/v1/docs" in body["error"]


async def test_queue_names_may_be_percent_encoded(bench: Bench, server: HttpServer) -> None:
    assert (await server.post("/queues/a%2Fb%3Ac/pause")).json == {"status": "paused"}
    assert (await server.get("/queues/a%2Fb%3Ac")).json["name"] == "a/b:c"
    assert (await bench.queue("a/b:c")).is_paused


# Messages that are not HTTP


@pytest.mark.parametrize(
    "message",
    [
        b"garbage\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/3.7\r\nhost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n",
        b"POST /api/v1/enqueue HTTP/1.1\r\ncontent-length: abc\r\n\r\n{}",
        b"POST /api/v1/enqueue HTTP/1.1\r\ncontent-length: -5\r\n\r\n{}",
        b"POST /api/v1/enqueue HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"POST /api/v1/enqueue HTTP/1.1\r\nexpect: 200-ok\r\ncontent-length: 2\r\n\r\n{}",
    ],
)
async def test_message_that_is_not_http_is_answered(
    bench: Bench, server: HttpServer, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = rows(bench)
    reply = await server.raw(message)
    assert reply.status in {400, 404}
    check_error(reply, E(reply.json["code"]))
    assert rows(bench) == before
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert (await server.call("GET", "/healthz")).status == 200


async def test_server_still_answers_fast_after_bad_input(bench: Bench, server: HttpServer) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.gather(
        *[server.post(case.path, case.body) for case in CASES[:100]],
        server.post("/enqueue", nested(1_000_000)),
    )
    started = loop.time()
    for _ in range(10):
        assert (await server.post("/enqueue", {"queue": "fast"})).status == 201
    assert loop.time() - started < 2
    assert (await bench.queue("fast")).enqueued == 10


async def test_id_of_another_kind_is_not_a_job(server: HttpServer) -> None:
    for job_id in (new_job_id(), "sched_01ARZ3NDEKTSV4RRFFQ69G5FAV", "%F0%28%8C%28"):
        check_error(await server.get(f"/jobs/{job_id}"), E.NOT_FOUND)


async def test_reply_is_json_for_any_id(server: HttpServer) -> None:
    reply = await server.get("/jobs/%22%0a%00%F0%9F%98%80")
    body = check_error(reply, E.NOT_FOUND)
    assert '"\n\0😀' in body["error"]
    assert orjson.loads(reply.body) == body


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=dead", "must be one of running, finished"),
        ("limit=0", "must be a whole number from 1 to 1000"),
        ("limit=1001", "must be a whole number from 1 to 1000"),
        ("limit=%C2%B2", "must be a whole number from 1 to 1000"),
        ("limit=", "must be a whole number from 1 to 1000"),
        ("state=", "must be one of running, finished"),
        ("cursor=", "was not issued by this server"),
        ("cursor=x", "was not issued by this server"),
        ("cursor=batch_01ARZ3NDEKTSV4RRFFQ69G5FAVX", "was not issued by this server"),
    ],
)
async def test_invalid_parameters_of_the_list_of_batches_are_refused(
    server: HttpServer, query: str, expected: str
) -> None:
    body = check_error(await server.get(f"/batches?{query}"), E.VALIDATION_ERROR)
    field = query.partition("=")[0]
    assert body["details"] == [{"field": field, "message": expected}]


async def test_documents_of_the_most_levels_are_accepted(bench: Bench, server: HttpServer) -> None:
    document = b"[" * 190 + b"]" * 190
    strings = orjson.dumps(["[" * 999, '"[{' * 999])
    for payload in (document, strings, b"[" + b"[]," * 999 + b"[]]"):
        reply = await server.post("/enqueue", b'{"queue":"levels","payload":%b}' % payload)
        assert reply.status == 201
        fetched = await server.post("/fetch", {"queues": ["levels"], "worker_id": "w"})
        assert orjson.loads(payload) == fetched.json["payload"]
        job_id = fetched.json["job_id"].encode()
        beat = b'{"jobs":{"%b":{"checkpoint":%b}}}' % (job_id, document)
        assert (await server.post("/heartbeat", beat)).status == 200
        ack = await server.post(f"/ack/{job_id.decode()}", b'{"result":%b}' % document)
        assert ack.status == 200
        assert (await server.get(f"/jobs/{job_id.decode()}")).status == 200
