"""The methods of both clients for webhooks and their sources, against a real server."""

import pytest

from corvo_client import AsyncClient, InvalidState, NotFound, ValidationFailed
from support.api_client import new_name

URL = "https://receiver.example/hook"


async def test_a_webhook_is_made_changed_and_deleted(client: AsyncClient) -> None:
    name = new_name("hook")
    made = await client.create_webhook(
        name, URL, queues=["a.*"], types=["dead"], tags={"a": "b"}, enabled=False
    )
    assert made.secret.startswith("whsec_")
    with pytest.raises(InvalidState):
        await client.create_webhook(name, URL)
    changed = await client.replace_webhook(name, f"{URL}/2", queues=["b"])
    assert (changed.url, changed.queues, changed.types) == (f"{URL}/2", ["b"], None)
    assert (await client.rotate_webhook(name, grace="1d")).secret != made.secret
    (found,) = [hook for hook in await client.list_webhooks() if hook.name == name]
    assert found.old_secret_until is not None
    assert (await client.delete_webhook(name)).status == "deleted"
    with pytest.raises(NotFound):
        await client.delete_webhook(name)


async def test_a_url_into_the_network_is_refused(client: AsyncClient) -> None:
    with pytest.raises(ValidationFailed, match="--webhook-allow 169"):
        await client.create_webhook(new_name("hook"), "http://169.254.169.254/")


async def test_a_source_is_made_changed_and_deleted(client: AsyncClient, queue: str) -> None:
    name = new_name("source")
    made = await client.create_webhook_source(
        name, queue, form="token", secret="s" * 20, id_header="X-Id", tag_headers={"a": "X-A"}
    )
    assert (made.secret, made.id_header, made.tag_headers) == ("s" * 20, "x-id", {"a": "x-a"})
    assert (await client.rotate_webhook_source(name, grace="1h")).secret != made.secret
    (found,) = [source for source in await client.list_webhook_sources() if source.name == name]
    assert (found.queue, found.form) == (queue, "token")
    assert (await client.delete_webhook_source(name)).status == "deleted"
    with pytest.raises(NotFound):
        await client.rotate_webhook_source(name)
