"""Endpoints of API keys."""

from sanic import HTTPResponse, Request

from corvo_schema import (
    ApiKey,
    ApiKeyRequest,
    AuthStatus,
    KeyStatusReply,
    NewApiKey,
    RotateKeyRequest,
)
from corvo_schema.errors import ErrorCode
from corvo_server.auth.caller import caller
from corvo_server.http import documents
from corvo_server.http.endpoint import ADMIN, ANYONE, Resource
from corvo_server.http.replies import reply, secret_reply
from corvo_server.http.request import engine_of, read_body, shift_of
from corvo_server.store.keys import KeyRecord

resource = Resource("auth")


@resource.endpoint("GET", "/auth/status", roles=ANYONE, replies={200: AuthStatus})
async def auth_status(request: Request) -> HTTPResponse:
    """Return whether calls need an API key, and what the key of this call may do."""
    keys = engine_of(request).keys
    key_id = caller().key_id
    found = None if key_id is None else keys.find(key_id)
    body: dict[str, object] = {
        "required": keys.are_required,
        "authenticated": found is not None,
        "key": None if found is None else _shown(request, found),
    }
    return reply(body)


@resource.endpoint("GET", "/auth/keys", roles=ADMIN, replies={200: list[ApiKey]})
async def list_keys(request: Request) -> HTTPResponse:
    """List all API keys, the oldest first, also revoked and expired ones, without their secrets."""
    records = await engine_of(request).keys.list_all()
    return reply([_shown(request, record) for record in records])


@resource.endpoint(
    "POST",
    "/auth/keys",
    roles=ADMIN,
    request=ApiKeyRequest,
    replies={201: NewApiKey},
    errors=(ErrorCode.INVALID_STATE,),
)
async def create_key(request: Request) -> HTTPResponse:
    """Create an API key. Its text is in this reply only.

    From the first key on, every call needs one.
    """
    body = read_body(request, ApiKeyRequest)
    record, text = await engine_of(request).keys.create(body)
    return _new(request, record, text)


@resource.endpoint(
    "POST",
    "/auth/keys/<key:str>/rotate",
    roles=ADMIN,
    request=RotateKeyRequest,
    replies={201: NewApiKey},
    errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_STATE),
)
async def rotate_key(request: Request, key: str) -> HTTPResponse:
    """Create an API key with the name and rights of another, by id or name, which it replaces.

    The old key stays valid for `grace`.
    """
    body = read_body(request, RotateKeyRequest)
    record, text = await engine_of(request).keys.rotate(key, body)
    return _new(request, record, text)


@resource.endpoint(
    "DELETE",
    "/auth/keys/<key:str>",
    roles=ADMIN,
    replies={200: KeyStatusReply},
    errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_STATE),
)
async def revoke_key(request: Request, key: str) -> HTTPResponse:
    """Revoke an API key by its id, or all valid keys with its name. It ends within a second.

    The last valid key of an admin cannot be revoked.
    """
    await engine_of(request).keys.revoke(key)
    return reply({"status": "revoked"})


def _new(request: Request, record: KeyRecord, text: str) -> HTTPResponse:
    return secret_reply(_shown(request, record) | {"key": text}, 201)


def _shown(request: Request, record: KeyRecord) -> dict[str, object]:
    return documents.key(record, shift_of(request), engine_of(request).clock())
