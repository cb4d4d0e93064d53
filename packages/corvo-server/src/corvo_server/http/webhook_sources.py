"""Endpoints of the sources of webhooks."""

from sanic import HTTPResponse, Request

from corvo_schema.errors import ErrorCode
from corvo_schema.webhooks import (
    NewWebhookSource,
    RotateSecretRequest,
    WebhookSource,
    WebhookSourceRequest,
    WebhookStatusReply,
)
from corvo_server.http import documents
from corvo_server.http.endpoint import ADMIN, Resource
from corvo_server.http.replies import reply, secret_reply
from corvo_server.http.request import engine_of, read_body, shift_of
from corvo_server.store.webhooks import SourceRecord

resource = Resource("webhook-sources")


@resource.endpoint("GET", "/webhook-sources", roles=ADMIN, replies={200: list[WebhookSource]})
async def list_webhook_sources(request: Request) -> HTTPResponse:
    """List all sources by name, without their secrets."""
    records = await engine_of(request).webhook_sources.list_all()
    return reply([documents.webhook_source(record, shift_of(request)) for record in records])


@resource.endpoint(
    "POST",
    "/webhook-sources",
    roles=ADMIN,
    request=WebhookSourceRequest,
    replies={201: NewWebhookSource},
    errors=(ErrorCode.INVALID_STATE,),
)
async def create_webhook_source(request: Request) -> HTTPResponse:
    """Create a source: what it signs becomes jobs of its queue. Its secret is in this reply only.

    The sender calls `POST /webhooks/{queue}`.
    """
    body = read_body(request, WebhookSourceRequest)
    return _new(request, await engine_of(request).webhook_sources.create(body))


@resource.endpoint(
    "POST",
    "/webhook-sources/<name:str>/rotate",
    roles=ADMIN,
    request=RotateSecretRequest,
    replies={200: NewWebhookSource},
    errors=(ErrorCode.NOT_FOUND,),
)
async def rotate_webhook_source(request: Request, name: str) -> HTTPResponse:
    """Give a source a new secret. For `grace`, the old one is accepted as well."""
    body = read_body(request, RotateSecretRequest)
    return _new(request, await engine_of(request).webhook_sources.rotate(name, body), 200)


@resource.endpoint(
    "DELETE",
    "/webhook-sources/<name:str>",
    roles=ADMIN,
    replies={200: WebhookStatusReply},
    errors=(ErrorCode.NOT_FOUND,),
)
async def delete_webhook_source(request: Request, name: str) -> HTTPResponse:
    """Delete a source. Its jobs stay."""
    await engine_of(request).webhook_sources.delete(name)
    return reply({"status": "deleted"})


def _new(request: Request, record: SourceRecord, status: int = 201) -> HTTPResponse:
    return secret_reply(
        documents.webhook_source(record, shift_of(request)) | {"secret": record.secret}, status
    )
