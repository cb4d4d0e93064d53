"""Webhooks over HTTP: what is shown of secrets, signed requests, and queues that nobody may use."""

import hashlib
import hmac
from typing import Any
from uuid import uuid4

import orjson
import pytest

from corvo_server.webhooks import signing
from server_support.http import HttpServer, Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "https://receiver.example/hook"
SECRET = signing.new_secret()


def new_name() -> str:
    return f"n-{uuid4().hex[:12]}"


async def new_source(server: HttpServer, **more: Any) -> tuple[str, str]:
    """Make a source. Return its queue and its secret."""
    queue = more.setdefault("queue", new_name())
    reply = await server.post("/webhook-sources", {"name": new_name(), **more})
    assert reply.status == 201, reply.json
    return queue, reply.json["secret"]


def signed(
    server: HttpServer, secret: str, body: bytes, *, message_id: str = "msg_1"
) -> dict[str, str]:
    seconds = server.engine.wall() // 1000
    return dict(signing.headers([secret], message_id, seconds, body))


async def send(server: HttpServer, queue: str, body: bytes, headers: dict[str, str]) -> Reply:
    """Call as a sender does, who has no API key."""
    keys, server.headers = server.headers, {}
    try:
        return await server.post(f"/webhooks/{queue}", body, headers=headers)
    finally:
        server.headers = keys


async def test_secret_is_shown_once(server: HttpServer) -> None:
    name = new_name()
    made = await server.post("/webhooks", {"name": name, "url": URL})
    assert made.status == 201
    assert made.headers["cache-control"] == "no-store"
    secret = made.json["secret"]
    assert secret.startswith("whsec_")
    listed = await server.get("/webhooks")
    assert secret not in listed.body.decode()
    (found,) = [hook for hook in listed.json if hook["name"] == name]
    assert (found["enabled"], found["delivery_queue"]) == (True, f"corvo.webhooks.{name}")
    changed = await server.call("PUT", f"/api/v1/webhooks/{name}", {"url": URL, "queues": ["a.*"]})
    assert (changed.status, changed.json["queues"]) == (200, ["a.*"])
    assert "secret" not in changed.json
    rotated = await server.post(f"/webhooks/{name}/rotate", {"secret": SECRET, "grace": "1h"})
    assert rotated.json["secret"] == SECRET
    assert rotated.json["old_secret_until"] is not None
    assert (await server.call("DELETE", f"/api/v1/webhooks/{name}")).json == {"status": "deleted"}
    assert (await server.call("DELETE", f"/api/v1/webhooks/{name}")).status == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ftp://receiver.example/"),
        ("url", "receiver.example"),
        ("url", "https://"),
        ("url", "https://user:password@receiver.example/"),
        ("url", "https://receiver.example/#part"),
        ("url", "https://receiver.example:99999/"),
        ("url", "https://receiver.example/a b"),
        ("url", "https://receiver.example/\r\nx: y"),
        ("url", "https://receiver.example/é"),
        ("url", f"https://receiver.example/{'x' * 2048}"),
        ("url", "http://127.0.0.1/"),
        ("url", "http://[::1]:8080/"),
        ("url", "http://[::ffff:169.254.169.254]/"),
        ("url", "http://169.254.169.254/latest/meta-data"),
        ("name", "a/b"),
        ("name", ""),
        ("queues", []),
        ("queues", ["a b"]),
        ("types", ["unknown"]),
        ("types", []),
        ("tags", {"": "x"}),
        ("secret", "short"),
        ("secret", "x" * 40),
        ("enabled", "yes"),
    ],
)
async def test_bad_webhook_is_refused_by_its_field(
    server: HttpServer, field: str, value: Any
) -> None:
    reply = await server.post("/webhooks", {"name": new_name(), "url": URL, field: value})
    assert reply.status == 400
    assert reply.json["details"][0]["field"].startswith(field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a b"),
        ("queue", "a b"),
        ("queue", "corvo.webhooks.x"),
        ("form", "unknown"),
        ("secret", "x" * 40),
        ("signature_header", "Authorization"),
        ("signature_header", "x y"),
        ("id_header", "X-API-Key"),
        ("tag_headers", {"tag": "x:y"}),
    ],
)
async def test_bad_source_is_refused_by_its_field(
    server: HttpServer, field: str, value: Any
) -> None:
    reply = await server.post(
        "/webhook-sources", {"name": new_name(), "queue": new_name(), field: value}
    )
    assert reply.status == (403 if str(value).startswith("corvo.webhooks.") else 400)
    assert reply.json["details"][0]["field"].startswith(field)


async def test_signed_request_makes_one_job(server: HttpServer) -> None:
    queue, secret = await new_source(server, tag_headers={"kind": "X-Kind"})
    body = b'{"order": 12345678901234567890, "b":[1, 2]}'
    headers = signed(server, secret, body) | {"x-kind": "paid"}
    made = await send(server, queue, body, headers)
    assert (made.status, made.json["status"]) == (201, "pending")
    again = await send(server, queue, body, headers)
    assert (again.status, again.json["job_id"]) == (200, made.json["job_id"])
    other = b'{"order": 2}'
    changed = await send(server, queue, other, signed(server, secret, other))
    assert (changed.status, changed.json["job_id"]) == (200, made.json["job_id"])
    job = await server.get(f"/jobs/{made.json['job_id']}")
    assert body in job.body  # byte for byte
    assert job.json["tags"] == {"kind": "paid"}
    further = await send(server, queue, other, signed(server, secret, other, message_id="msg_2"))
    assert further.status == 201
    assert (await server.get(f"/queues/{queue}")).json["pending"] == 2


async def test_sender_needs_no_key_and_gets_no_detail(server: HttpServer) -> None:
    await server.require_keys()
    queue, secret = await new_source(server)
    body = b'{"x":1}'
    headers = signed(server, secret, body)
    server.gate.failures.clear()
    texts = set()
    for sent_to, sent, how in (
        (queue, body, {}),
        (queue, body, headers | {"webhook-signature": "v1,AAAA"}),
        (queue, body + b" ", headers),
        (new_name(), body, headers),
        (queue, b"not json", headers),
        ("corvo.webhooks.x", body, headers),
    ):
        reply = await send(server, sent_to, sent, how)
        assert reply.status == 401
        texts.add(reply.json["error"])
    assert texts == {"The request has no valid signature for this queue."}
    assert (await send(server, queue, body, headers)).status == 201


async def test_many_requests_without_signature_get_429(server: HttpServer) -> None:
    queue, secret = await new_source(server)
    server.gate.failures.clear()
    statuses = [(await send(server, queue, b"{}", {})).status for _ in range(21)]
    assert statuses[-1] == 429
    assert set(statuses[:20]) == {401}
    assert (await send(server, queue, b"{}", signed(server, secret, b"{}"))).status == 201
    server.gate.failures.clear()


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"{", 400), (b"\xff", 400), (b"[" * 5000, 400), (b"3", 201)]
)
async def test_body_must_be_json(server: HttpServer, body: bytes, status: int) -> None:
    queue, secret = await new_source(server)
    reply = await send(server, queue, body, signed(server, secret, body))
    assert reply.status == status


async def test_too_large_body_is_refused(server: HttpServer) -> None:
    queue, secret = await new_source(server)
    body = orjson.dumps("x" * 300_000)
    assert (await send(server, queue, body, signed(server, secret, body))).status == 413


async def test_other_forms_are_accepted(server: HttpServer) -> None:
    queue, token = await new_source(server, form="token", id_header="X-Event-Id")
    headers = {"x-webhook-token": token, "x-event-id": "7"}
    assert (await send(server, queue, b"{}", headers)).status == 201
    assert (await send(server, queue, b"{}", headers)).status == 200
    missing = await send(server, queue, b"{}", {"x-webhook-token": token})
    assert missing.status == 400
    assert "x-event-id" in missing.json["error"]


async def test_id_of_stripe_is_in_the_body(server: HttpServer) -> None:
    queue, secret = await new_source(server, form="stripe")
    for body, status in ((b'{"id":"evt_1"}', 201), (b'{"id":"evt_1"}', 200), (b'{"id":7}', 400)):
        at = server.engine.wall() // 1000
        digest = _stripe(secret, at, body)
        reply = await send(server, queue, body, {"stripe-signature": f"t={at},v1={digest}"})
        assert reply.status == status


async def test_deleted_source_is_refused_at_once(server: HttpServer) -> None:
    name, queue = new_name(), new_name()
    made = await server.post("/webhook-sources", {"name": name, "queue": queue})
    headers = signed(server, made.json["secret"], b"{}")
    rotated = await server.post(f"/webhook-sources/{name}/rotate", {"grace": "1h"})
    for secret in (made.json["secret"], rotated.json["secret"]):
        message_id = new_name()
        sent = signed(server, secret, b"{}", message_id=message_id)
        assert (await send(server, queue, b"{}", sent)).status == 201
    assert (await server.call("DELETE", f"/api/v1/webhook-sources/{name}")).status == 200
    assert (await send(server, queue, b"{}", headers)).status == 401
    server.gate.failures.clear()


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/enqueue", {"queue": "$"}, "queue"),
        ("/enqueue/batch", {"jobs": [{"queue": "a"}, {"queue": "$"}]}, "jobs[1].queue"),
        (
            "/enqueue/batch",
            {"jobs": [{"queue": "a"}], "batch": {"callback_queue": "$"}},
            "batch.callback_queue",
        ),
        ("/fetch", {"queues": ["a", "$"], "worker_id": "w", "timeout": 0}, "queues[1]"),
        ("/fetch/batch", {"queues": ["$"], "worker_id": "w", "timeout": 0}, "queues[0]"),
        ("/schedules", {"name": "x", "queue": "$", "cron": "@daily"}, "queue"),
        ("/queues/$/concurrency", {"max": 3}, "name"),
    ],
)
async def test_queues_of_deliveries_are_refused(
    server: HttpServer, path: str, body: dict[str, Any], field: str
) -> None:
    queue = "corvo.webhooks.any"
    text = orjson.dumps(body).replace(b'"$"', f'"{queue}"'.encode())
    reply = await server.post(path.replace("$", queue), text)
    assert reply.status == 403
    assert reply.json["details"][0]["field"] == field


async def test_deliveries_may_be_paused_but_not_deleted(server: HttpServer) -> None:
    name = new_name()
    await server.post("/webhooks", {"name": name, "url": URL})
    queue = f"/queues/corvo.webhooks.{name}"
    assert (await server.post(f"{queue}/pause")).status == 200
    assert (await server.post(f"{queue}/resume")).status == 200
    assert (await server.call("DELETE", f"/api/v1{queue}?confirm=true")).status == 403
    assert (await server.post("/enqueue", {"queue": new_name()})).status == 201


async def test_job_cannot_move_into_a_queue_of_deliveries(server: HttpServer) -> None:
    job = (await server.post("/enqueue", {"queue": new_name()})).json["job_id"]
    reply = await server.post(f"/jobs/{job}/move", {"queue": "corvo.webhooks.any"})
    assert reply.status == 403


def _stripe(secret: str, at: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
