"""Calls for webhooks and their sources."""

from collections.abc import Mapping, Sequence
from typing import Any

from corvo_client._call import API, Call
from corvo_client._codec import build, encode, reader, segment
from corvo_client._options import AnyDuration
from corvo_schema import (
    EventType,
    NewWebhook,
    NewWebhookSource,
    RotateSecretRequest,
    SignatureForm,
    Webhook,
    WebhookRequest,
    WebhookSettings,
    WebhookSource,
    WebhookSourceRequest,
    WebhookStatusReply,
)

_read_webhooks = reader(list[Webhook])
_read_webhook = reader(Webhook)
_read_new_webhook = reader(NewWebhook)
_read_sources = reader(list[WebhookSource])
_read_new_source = reader(NewWebhookSource)
_read_status = reader(WebhookStatusReply)

_WEBHOOKS = f"{API}/webhooks"
_SOURCES = f"{API}/webhook-sources"


def list_webhooks() -> Call[list[Webhook]]:
    """Return the call that lists all webhooks."""
    return Call("GET", _WEBHOOKS, _read_webhooks, repeatable=True)


def create_webhook(
    name: str,
    url: str,
    *,
    queues: Sequence[str] | None = None,
    types: Sequence[EventType | str] | None = None,
    tags: Mapping[str, str] | None = None,
    enabled: bool = True,
    secret: str | None = None,
) -> Call[NewWebhook]:
    """Return the call that makes a webhook. Raises `ValidationFailed`."""
    members = _settings(url, queues, types, tags, enabled=enabled)
    request = build(WebhookRequest, {"name": name, "secret": secret, **members})
    return Call("POST", _WEBHOOKS, _read_new_webhook, encode(request))


def replace_webhook(
    name: str,
    url: str,
    *,
    queues: Sequence[str] | None = None,
    types: Sequence[EventType | str] | None = None,
    tags: Mapping[str, str] | None = None,
    enabled: bool = True,
) -> Call[Webhook]:
    """Return the call that replaces the settings of a webhook. Raises `ValidationFailed`."""
    request = build(WebhookSettings, _settings(url, queues, types, tags, enabled=enabled))
    path = f"{_WEBHOOKS}/{segment(name)}"
    return Call("PUT", path, _read_webhook, encode(request), repeatable=True)


def rotate_webhook(
    name: str, *, secret: str | None = None, grace: AnyDuration | None = None
) -> Call[NewWebhook]:
    """Return the call that gives a webhook a new secret. Raises `ValidationFailed`."""
    request = build(RotateSecretRequest, {"secret": secret, "grace": grace})
    path = f"{_WEBHOOKS}/{segment(name)}/rotate"
    return Call("POST", path, _read_new_webhook, encode(request))


def delete_webhook(name: str) -> Call[WebhookStatusReply]:
    """Return the call that deletes a webhook."""
    return Call("DELETE", f"{_WEBHOOKS}/{segment(name)}", _read_status)


def list_webhook_sources() -> Call[list[WebhookSource]]:
    """Return the call that lists all sources."""
    return Call("GET", _SOURCES, _read_sources, repeatable=True)


def create_webhook_source(
    name: str,
    queue: str,
    *,
    form: SignatureForm | str = SignatureForm.STANDARD,
    secret: str | None = None,
    signature_header: str | None = None,
    id_header: str | None = None,
    tag_headers: Mapping[str, str] | None = None,
) -> Call[NewWebhookSource]:
    """Return the call that makes a source. Raises `ValidationFailed`."""
    members: dict[str, Any] = {
        "name": name,
        "queue": queue,
        "form": form,
        "secret": secret,
        "signature_header": signature_header,
        "id_header": id_header,
        "tag_headers": dict(tag_headers or {}),
    }
    request = build(WebhookSourceRequest, members)
    return Call("POST", _SOURCES, _read_new_source, encode(request))


def rotate_webhook_source(
    name: str, *, secret: str | None = None, grace: AnyDuration | None = None
) -> Call[NewWebhookSource]:
    """Return the call that gives a source a new secret. Raises `ValidationFailed`."""
    request = build(RotateSecretRequest, {"secret": secret, "grace": grace})
    path = f"{_SOURCES}/{segment(name)}/rotate"
    return Call("POST", path, _read_new_source, encode(request))


def delete_webhook_source(name: str) -> Call[WebhookStatusReply]:
    """Return the call that deletes a source."""
    return Call("DELETE", f"{_SOURCES}/{segment(name)}", _read_status)


def _settings(
    url: str,
    queues: Sequence[str] | None,
    types: Sequence[EventType | str] | None,
    tags: Mapping[str, str] | None,
    *,
    enabled: bool,
) -> dict[str, Any]:
    members: dict[str, Any] = {"url": url, "enabled": enabled}
    if queues is not None:
        members["queues"] = [*queues]
    if types is not None:
        members["types"] = [*types]
    if tags is not None:
        members["tags"] = dict(tags)
    return members
