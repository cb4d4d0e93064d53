# Generated from src/corvo_client/_async/webhooks.py by scripts/gen_sync.py. Do not edit.
"""Client methods for webhooks and their sources."""

from collections.abc import Mapping, Sequence

from corvo_client._calls import webhooks as calls
from corvo_client._options import AnyDuration
from corvo_client._sync.base import Base
from corvo_schema import (
    EventType,
    NewWebhook,
    NewWebhookSource,
    SignatureForm,
    Webhook,
    WebhookSource,
    WebhookStatusReply,
)


class Webhooks(Base):
    """Manage webhooks, which send events to URLs, and sources, whose requests become jobs.

    The methods need a key with the role admin. Durations are a `timedelta` or a text like `7d`.
    """

    def list_webhooks(self) -> list[Webhook]:
        """Return all webhooks by name, without their secrets."""
        return self._send(calls.list_webhooks())

    def create_webhook(
        self,
        name: str,
        url: str,
        *,
        queues: Sequence[str] | None = None,
        types: Sequence[EventType | str] | None = None,
        tags: Mapping[str, str] | None = None,
        enabled: bool = True,
        secret: str | None = None,
    ) -> NewWebhook:
        """Send the events that match to `url`. Only this reply has the secret that signs them.

        `queues` are patterns (`emails.*`). Raises `ValidationFailed`, also for an address that the
        server must not call, and `InvalidState` if a webhook has that name.
        """
        return self._send(
            calls.create_webhook(
                name,
                url,
                queues=queues,
                types=types,
                tags=tags,
                enabled=enabled,
                secret=secret,
            )
        )

    def replace_webhook(
        self,
        name: str,
        url: str,
        *,
        queues: Sequence[str] | None = None,
        types: Sequence[EventType | str] | None = None,
        tags: Mapping[str, str] | None = None,
        enabled: bool = True,
    ) -> Webhook:
        """Replace the settings of a webhook, but not its secret. Raises `NotFound`."""
        return self._send(
            calls.replace_webhook(name, url, queues=queues, types=types, tags=tags, enabled=enabled)
        )

    def rotate_webhook(
        self, name: str, *, secret: str | None = None, grace: AnyDuration | None = None
    ) -> NewWebhook:
        """Give a webhook a new secret. The old one signs as well for `grace`.

        Raises `NotFound` and `ValidationFailed`.
        """
        return self._send(calls.rotate_webhook(name, secret=secret, grace=grace))

    def delete_webhook(self, name: str) -> WebhookStatusReply:
        """Delete a webhook. What was not sent yet is never sent. Raises `NotFound`."""
        return self._send(calls.delete_webhook(name))

    def list_webhook_sources(self) -> list[WebhookSource]:
        """Return all sources by name, without their secrets."""
        return self._send(calls.list_webhook_sources())

    def create_webhook_source(
        self,
        name: str,
        queue: str,
        *,
        form: SignatureForm | str = SignatureForm.STANDARD,
        secret: str | None = None,
        signature_header: str | None = None,
        id_header: str | None = None,
        tag_headers: Mapping[str, str] | None = None,
    ) -> NewWebhookSource:
        """Make jobs of `queue` from signed requests to `POST /api/v1/webhooks/{queue}`.

        `tag_headers` has the header that each tag is taken from. Only this reply has the secret.
        Raises `ValidationFailed`, and `InvalidState` if a source has that name.
        """
        return self._send(
            calls.create_webhook_source(
                name,
                queue,
                form=form,
                secret=secret,
                signature_header=signature_header,
                id_header=id_header,
                tag_headers=tag_headers,
            )
        )

    def rotate_webhook_source(
        self, name: str, *, secret: str | None = None, grace: AnyDuration | None = None
    ) -> NewWebhookSource:
        """Give a source a new secret. The old one is accepted as well for `grace`.

        Raises `NotFound` and `ValidationFailed`.
        """
        return self._send(calls.rotate_webhook_source(name, secret=secret, grace=grace))

    def delete_webhook_source(self, name: str) -> WebhookStatusReply:
        """Delete a source. Its jobs stay. Raises `NotFound`."""
        return self._send(calls.delete_webhook_source(name))
