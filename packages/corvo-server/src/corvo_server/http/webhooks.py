"""Endpoints of webhooks: subscriptions to events, and the requests of sources."""

from sanic import HTTPResponse, Request

from corvo_schema import EnqueueReply
from corvo_schema.errors import ErrorCode
from corvo_schema.webhooks import (
    NewWebhook,
    RotateSecretRequest,
    Webhook,
    WebhookRequest,
    WebhookSettings,
    WebhookStatusReply,
)
from corvo_server.auth.caller import Caller, set_caller
from corvo_server.engine.errors import CallError
from corvo_server.http import documents
from corvo_server.http.endpoint import ADMIN, ANYONE, Parameter, Resource
from corvo_server.http.proxies import client_address
from corvo_server.http.replies import enqueued, reply, secret_reply
from corvo_server.http.request import engine_of, parse, read_body, shift_of
from corvo_server.store.webhooks import WebhookRecord

resource = Resource("webhooks")

_ID = Parameter(
    "webhook-id",
    "Id of the delivery. Repeats with it make one job. The source may name another header.",
    {"type": "string"},
    place="header",
)


@resource.endpoint("GET", "/webhooks", roles=ADMIN, replies={200: list[Webhook]})
async def list_webhooks(request: Request) -> HTTPResponse:
    """List all webhooks by name, without their secrets."""
    records = await engine_of(request).webhooks.list_all()
    return reply([documents.webhook(record, shift_of(request)) for record in records])


@resource.endpoint(
    "POST",
    "/webhooks",
    roles=ADMIN,
    request=WebhookRequest,
    replies={201: NewWebhook},
    errors=(ErrorCode.INVALID_STATE,),
)
async def create_webhook(request: Request) -> HTTPResponse:
    """Create a webhook: events that match are sent to its URL. Its secret is in this reply only."""
    body = read_body(request, WebhookRequest)
    return _new(request, await engine_of(request).webhooks.create(body))


@resource.endpoint(
    "PUT",
    "/webhooks/<name:str>",
    roles=ADMIN,
    request=WebhookSettings,
    replies={200: Webhook},
    errors=(ErrorCode.NOT_FOUND,),
)
async def replace_webhook(request: Request, name: str) -> HTTPResponse:
    """Replace the settings of a webhook, but not its secret. It holds within a second."""
    body = read_body(request, WebhookSettings)
    record = await engine_of(request).webhooks.replace(name, body)
    return reply(documents.webhook(record, shift_of(request)))


@resource.endpoint(
    "DELETE",
    "/webhooks/<name:str>",
    roles=ADMIN,
    replies={200: WebhookStatusReply},
    errors=(ErrorCode.NOT_FOUND,),
)
async def delete_webhook(request: Request, name: str) -> HTTPResponse:
    """Delete a webhook. Its deliveries that have not ended are never sent."""
    await engine_of(request).webhooks.delete(name)
    return reply({"status": "deleted"})


@resource.endpoint(
    "POST",
    "/webhooks/<name:str>/rotate",
    roles=ADMIN,
    request=RotateSecretRequest,
    replies={200: NewWebhook},
    errors=(ErrorCode.NOT_FOUND,),
)
async def rotate_webhook(request: Request, name: str) -> HTTPResponse:
    """Give a webhook a new secret. For `grace`, requests have the signatures of both."""
    body = read_body(request, RotateSecretRequest)
    return _new(request, await engine_of(request).webhooks.rotate(name, body), 200)


@resource.endpoint(
    "POST",
    "/webhooks/<name:str>",
    roles=ANYONE,
    is_audited=False,
    replies={201: EnqueueReply, 200: EnqueueReply},
    errors=(ErrorCode.PARSE_ERROR, ErrorCode.VALIDATION_ERROR, ErrorCode.UNAUTHORIZED),
    parameters=(_ID,),
)
async def receive_webhook(request: Request, name: str) -> HTTPResponse:
    """Enqueue a job with the body as its payload, if a source of the queue has signed it.

    It needs no API key. Answer 201 for a new job, 200 for a repeat of its delivery.
    """
    sources = engine_of(request).webhook_sources
    headers = {header.lower(): value for header, value in request.headers.items()}
    source = await sources.find_sender(name, headers, request.body)
    if source is None:
        raise _unsigned(request)
    parse(request.body)
    set_caller(Caller(f"webhook source {source.name}", frozenset()))
    found = await sources.receive(source, headers, request.body)
    return reply(enqueued(found), 201 if found.is_new else 200)


def _unsigned(request: Request) -> CallError:
    """Return the error of a request without a valid signature. It tells nothing of the sources."""
    address = client_address(request)
    seconds = request.app.ctx.gate.failures.note(address)
    if seconds is not None:
        return CallError(
            ErrorCode.OVERLOADED,
            f"There were too many requests without a valid signature from {address}. Try again "
            f"in {seconds} seconds.",
            retry_after=seconds,
        )
    return CallError(ErrorCode.UNAUTHORIZED, "The request has no valid signature for this queue.")


def _new(request: Request, record: WebhookRecord, status: int = 201) -> HTTPResponse:
    return secret_reply(
        documents.webhook(record, shift_of(request)) | {"secret": record.secret}, status
    )
