"""The exceptions of both clients when a real server refuses a call or does not run."""

import asyncio
import inspect
import re
from pathlib import Path

import pytest

from corvo_client import (
    NO_RETRIES,
    AsyncClient,
    Client,
    ConnectionFailed,
    CorvoError,
    InvalidState,
    LeaseLost,
    NotFound,
    PayloadTooLarge,
    ValidationFailed,
)
from support.clients import as_async
from support.server import StartServer


async def test_missing_objects_raise_not_found(client: AsyncClient) -> None:
    with pytest.raises(NotFound) as caught:
        await client.get_job("job_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    error = caught.value
    assert (error.code, error.status, error.is_transient) == ("NOT_FOUND", 404, False)
    assert error.request_id
    assert "job_01ARZ3NDEKTSV4RRFFQ69G5FAV" in str(error)


async def test_a_conflict_names_the_reason(client: AsyncClient, queue: str) -> None:
    job_id = (await client.enqueue(queue)).job_id
    with pytest.raises(InvalidState, match="pending"):
        await client.ack(job_id)
    with pytest.raises(LeaseLost):
        await client.ack(job_id, lease_token="stolen")


async def test_a_payload_that_is_too_large_is_refused_at_once(
    client: AsyncClient, queue: str
) -> None:
    with pytest.raises(PayloadTooLarge):
        await client.enqueue(queue, "x" * 300_000)
    with pytest.raises(PayloadTooLarge):
        await client.enqueue(queue, "x" * 9_000_000)
    assert await client.fetch([queue], worker_id="w", timeout=0) is None


async def test_invalid_arguments_raise_before_a_request_is_sent(client: AsyncClient) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await client.enqueue("two words", max_retries=-1)
    assert {detail.field for detail in caught.value.details} == {"queue", "max_retries"}
    with pytest.raises(ValidationFailed):
        await client.enqueue("q", {"nan": float("nan")})


@pytest.mark.parametrize("kind", [AsyncClient, Client])
async def test_a_stopped_server_raises_connection_failed(
    start_server: StartServer, kind: type[AsyncClient] | type[Client]
) -> None:
    server = start_server()
    plain = kind(server.url, retry=NO_RETRIES)
    client = plain if isinstance(plain, AsyncClient) else as_async(plain)
    await client.enqueue("q")
    server.kill()
    with pytest.raises(CorvoError) as caught:
        await client.enqueue("q")
    assert caught.value.is_transient
    with pytest.raises(ConnectionFailed, match=f"cannot connect to {server.url}"):
        await client.enqueue("q")
    await client.close()


async def test_calls_that_share_a_request_fail_separately(
    start_server: StartServer,
) -> None:
    """A payload that is too large does not fail the other calls of the request."""
    server = start_server(max_payload_bytes=100)
    async with AsyncClient(server.url) as client:
        payloads = ["x" * (500 if i % 7 == 3 else 5) for i in range(50)]
        results = await asyncio.gather(
            *(client.enqueue("q", payload) for payload in payloads), return_exceptions=True
        )
        for payload, result in zip(payloads, results, strict=True):
            assert isinstance(result, PayloadTooLarge) == (len(payload) > 100)
        assert (await client.get_queue("q")).pending == sum(len(p) < 100 for p in payloads)


def test_every_method_of_the_clients_is_called_by_these_tests() -> None:
    sources = [path.read_text() for path in Path(__file__).parent.glob("test_client_*.py")]
    called = set(re.findall(r"client\.(\w+)\(", "".join(sources)))
    for kind in (AsyncClient, Client):
        methods = {
            name
            for name, _ in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }
        assert methods - called == set(), "call these methods in a test_client_*.py"
