"""The methods of both clients for API keys, against a server that needs them."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from corvo_client import (
    NO_RETRIES,
    AsyncClient,
    Client,
    Forbidden,
    InvalidState,
    NotFound,
    Unauthorized,
    ValidationFailed,
)
from server_support.engines import NewStorage
from server_support.waiting import wait_until
from support.clients import as_async
from support.server import CorvoServer, StartServer

PROMISED = 1.0
"""Seconds within which a revocation holds on all servers."""
BUSY = 5
"""A busy machine may be that many times slower."""

Connect = Callable[[str | None], AsyncClient]


@pytest.fixture
def server(start_server: StartServer) -> CorvoServer:
    """A server of its own: from the first key on it needs keys."""
    return start_server()


@pytest.fixture(params=[AsyncClient, Client], ids=["AsyncClient", "Client"])
async def connect(server: CorvoServer, request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """A factory of clients with a key."""
    clients: list[AsyncClient] = []

    def make(key: str | None) -> AsyncClient:
        plain = request.param(server.url, api_key=key, retry=NO_RETRIES)
        clients.append(plain if isinstance(plain, AsyncClient) else as_async(plain))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


async def test_keys_are_made_used_rotated_and_revoked(connect: Connect) -> None:
    client = connect(None)
    assert not (await client.auth_status()).required
    made = await client.create_key("admin", roles=["admin"])
    status = await client.auth_status()
    assert (status.required, status.authenticated, status.key) == (True, False, None)
    with pytest.raises(Unauthorized, match="needs an API key"):
        await client.list_keys()

    client = connect(made.key)
    status = await client.auth_status()
    assert status.key is not None
    assert (status.authenticated, status.key.id) == (True, made.id)
    worker = await client.create_key(
        "w", roles=["worker", "producer"], queues=["a.*"], expires_after="90d"
    )
    assert [key.name for key in await client.list_keys()] == ["admin", "w"]

    limited = connect(worker.key)
    assert (await limited.enqueue("a.b")).job_id
    with pytest.raises(Forbidden, match=r"may not use the queue 'b'"):
        await limited.enqueue("b")
    with pytest.raises(Forbidden, match="needs admin or operator"):
        await limited.pause_queue("a.b")

    rotated = await client.rotate_key("w", grace="1d", expires_after="10d")
    assert (rotated.name, rotated.queues) == ("w", ["a.*"])
    await limited.enqueue("a.b")  # within the grace
    assert (await client.revoke_key(worker.id)).status == "revoked"
    with pytest.raises(Unauthorized, match="was revoked"):
        await limited.enqueue("a.b")
    await connect(rotated.key).enqueue("a.b")


async def test_bad_input_is_refused(connect: Connect) -> None:
    client = connect(None)
    with pytest.raises(InvalidState, match="First make a key with the role admin"):
        await client.create_key("w", roles=["worker"])
    with pytest.raises(ValidationFailed, match="roles"):
        await client.create_key("a", roles=["king"])
    client = connect((await client.create_key("admin", roles=["admin"])).key)
    with pytest.raises(InvalidState, match="Choose another name"):
        await client.create_key("admin", roles=["worker"])
    with pytest.raises(InvalidState, match="last valid key of an admin"):
        await client.revoke_key("admin")
    for call in (client.revoke_key, client.rotate_key):
        with pytest.raises(NotFound, match="no API key"):
            await call("nobody")


def admits(client: AsyncClient, expected: bool) -> Callable[[], Awaitable[bool]]:
    """Return a condition: whether the server admits the key of a client, or no longer does."""

    async def condition() -> bool:
        try:
            return (await client.auth_status()).authenticated is expected
        except Unauthorized:
            return not expected

    return condition


async def test_revocation_holds_on_the_other_server(
    engine_name: str, new_storage: NewStorage, make_server: StartServer
) -> None:
    if engine_name != "postgres":
        pytest.skip("two servers share a database on PostgreSQL only")
    storage = new_storage()
    first, second = (make_server(**storage).start() for _ in range(2))
    async with AsyncClient(first.url) as client:
        made = await client.create_key("admin", roles=["admin"])
    async with AsyncClient(first.url, api_key=made.key) as client:
        producer = await client.create_key("p", roles=["producer"])
        async with AsyncClient(second.url, api_key=producer.key, retry=NO_RETRIES) as other:
            await wait_until(admits(other, True), "the other server knows the key")
            await other.enqueue("q")
            await client.revoke_key(producer.id)
            revoked_at = time.monotonic()
            await wait_until(admits(other, False), "the revocation holds")
            took = time.monotonic() - revoked_at
            with pytest.raises(Unauthorized, match="was revoked"):
                await other.enqueue("q")
    assert took < PROMISED * BUSY, f"{took:.2f} s"
