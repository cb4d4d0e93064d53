"""The load generator against a server that plays from a script."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from corvo_bench.load.closed import lives
from corvo_bench.load.outcome import Outcome
from corvo_bench.load.raw_connection import Script, Tally, play, request, text_of, texts_of
from corvo_bench.results import BenchmarkError

BODY = b'{"job_id":"job_1","tags":{},"jobs":[{"job_id":"job_2"}]}'


@asynccontextmanager
async def answering(*chunks: bytes) -> AsyncIterator[str]:
    """A server that answers each request with the same chunks, one packet each."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                for chunk in chunks:
                    writer.write(chunk)
                    await writer.drain()
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def asking(url: str, times: int, seen: list[tuple[int, bytes]]) -> Script:
    for _ in range(times):
        reply = yield request(url, "GET", "/")
        seen.append(reply)


def test_fields_are_found_without_parsing() -> None:
    assert text_of(BODY, b"job_id") == b"job_1"
    assert texts_of(BODY, b"job_id") == ["job_1", "job_2"]


async def test_answers_in_pieces_are_put_together() -> None:
    seen: list[tuple[int, bytes]] = []
    tally = Tally()
    async with answering(b"HTTP/1.1 200 OK\r\nconte", b"nt-length: 4\r\n\r\nab", b"cd") as url:
        await play(url, [asking(url, 3, seen) for _ in range(2)], tally)
    assert seen == [(200, b"abcd")] * 6
    assert tally.statuses == {200: 6}
    assert len(tally.latencies) == 6


async def test_answers_without_a_body_are_answers() -> None:
    seen: list[tuple[int, bytes]] = []
    async with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as url:
        await play(url, [asking(url, 2, seen)], Tally())
    assert seen == [(204, b"")] * 2


async def test_a_server_that_closes_the_connection_ends_the_load() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(BenchmarkError, match="closed the connection"):
            await play(url, [asking(url, 1, [])], Tally())


def test_an_error_answer_raises() -> None:
    outcome = Outcome(1.0, 1)
    outcome.statuses.update([200, 500, 500])
    with pytest.raises(BenchmarkError, match=r"\{500: 2\}"):
        outcome.require(200)


async def test_lives_end_at_an_answer_that_should_not_be() -> None:
    async with answering(b"HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n") as url:
        outcome = await asyncio.to_thread(lives, url, ["q"], 2, 5.0)
    assert outcome.statuses == {503: 2}
    assert outcome.count == 0
