"""The services of webhooks: they make deliveries and send them to a real receiver."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from corvo_schema import WebhookRequest, WebhookSettings
from corvo_schema.states import JobState
from corvo_server.engine.engine import Engine, Policy
from corvo_server.redaction.rules import read_rule
from corvo_server.services import webhook_line
from corvo_server.services.webhook_deliveries import WebhookDeliveries
from corvo_server.services.webhook_feed import WebhookFeed
from corvo_server.store.webhooks import WebhookRecord
from corvo_server.webhooks import signing
from server_support.bench import Bench, until

QUEUE = "corvo.webhooks.hook"
Told = tuple[dict[str, str], dict[str, Any]]


class Receiver:
    """Answers with the statuses of `answers` in turn, and with 200 after that."""

    def __init__(self, *answers: int) -> None:
        self.answers = [*answers]
        self.told: list[Told] = []
        self.url = ""
        self.is_hanging = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().strip()
                lines = [line.partition(": ") for line in head.split("\r\n")[1:]]
                headers = {name.lower(): value for name, _, value in lines}
                body = await reader.readexactly(int(headers["content-length"]))
                self.told.append((headers, orjson.loads(body)))
                if self.is_hanging:
                    await reader.read()
                status = self.answers.pop(0) if self.answers else 200
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    @property
    def events(self) -> list[str]:
        return [body["data"]["event"] for _, body in self.told]


@asynccontextmanager
async def receiving(*answers: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(*answers)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    yield receiver
    server.close()


@pytest.fixture
def hooked(bench: Bench) -> Bench:
    """A bench whose webhooks may be sent to this machine."""
    policy = Policy(webhook_allow=("127.0.0.1",))
    bench.engine = Engine(bench.store, clock=bench.clock, policy=policy)
    return bench


@pytest.fixture
async def run(hooked: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], None]]:
    """Run the services until the test ends."""
    monkeypatch.setattr(webhook_line, "_LONGEST_PAUSE", 0.01)
    tasks: list[asyncio.Task[None]] = []

    def start() -> None:
        engine = hooked.engine
        services = (
            WebhookFeed(engine.webhooks, engine.events, interval=0.02),
            WebhookDeliveries(engine.webhooks, engine.attempts, engine.wall, "node"),
        )
        tasks.extend(asyncio.create_task(service.run()) for service in services)

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def create(bench: Bench, url: str, **more: Any) -> WebhookRecord:
    request = WebhookRequest.model_validate({"name": "hook", "url": url, **more})
    return await bench.engine.webhooks.create(request)


async def until_deliveries(bench: Bench, state: JobState, count: int) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while getattr(await bench.queue(QUEUE), state.value) != count:
        assert asyncio.get_running_loop().time() < deadline, await bench.queue(QUEUE)
        await asyncio.sleep(0.005)


async def test_receiver_sees_no_text_that_can_contain_a_secret_value(
    hooked: Bench, run: Callable[[], None]
) -> None:
    policy = Policy(webhook_allow=("127.0.0.1",), redaction=[read_rule("payments:$.card")])
    hooked.engine = Engine(hooked.store, clock=hooked.clock, policy=policy)
    async with receiving() as receiver:
        await create(hooked, receiver.url, types=["retrying", "progress"])
        for queue in ("payments", "public"):
            job = await hooked.start(queue=queue, payload={"card": "4111"})
            await hooked.heartbeat(job, progress='{"message": "charging 4111"}')
            await hooked.fail(job, "declined: 4111")
        run()
        await until_deliveries(hooked, JobState.COMPLETED, 4)
    told = {"payments": "", "public": ""}
    for _, body in receiver.told:
        told[body["data"]["queue"]] += orjson.dumps(body).decode()
    assert "4111" not in told["payments"]
    assert told["payments"].count("[redacted]") == 2
    assert told["public"].count("4111") == 2


async def test_event_is_sent_and_signed(hooked: Bench, run: Callable[[], None]) -> None:
    async with receiving() as receiver:
        run()
        record = await create(hooked, receiver.url)
        job_id = await hooked.enqueue()
        await until_deliveries(hooked, JobState.COMPLETED, 1)
    ((headers, body),) = receiver.told
    assert body["data"]["job_id"] == job_id
    raw = orjson.dumps(body)
    sent = int(headers["webhook-timestamp"])
    expected = signing.sign(record.secret, headers["webhook-id"], sent, raw)
    assert headers["webhook-signature"] == expected
    assert sent == hooked.clock.now // 1000


async def test_failed_delivery_is_repeated_in_order_with_its_id(
    hooked: Bench, run: Callable[[], None]
) -> None:
    async with receiving(500, 302, 404) as receiver:
        await create(hooked, receiver.url)
        job_id = await hooked.enqueue()
        await hooked.engine.jobs.cancel(job_id)
        run()
        for _ in range(3):
            await until_deliveries(hooked, JobState.RETRYING, 1)
            await hooked.tick(60_000)
        await until_deliveries(hooked, JobState.COMPLETED, 2)
    assert receiver.events == ["enqueued"] * 4 + ["cancelled"]
    assert len({headers["webhook-id"] for headers, _ in receiver.told}) == 2


async def test_receiver_that_is_gone_disables_the_webhook(
    hooked: Bench, run: Callable[[], None]
) -> None:
    async with receiving(410) as receiver:
        await create(hooked, receiver.url)
        await hooked.enqueue()
        run()
        await until_deliveries(hooked, JobState.DEAD, 1)
        await until_async(lambda: is_disabled(hooked))
    (record,) = await hooked.engine.webhooks.list_all()
    assert "410" in (record.disabled_reason or "")


async def test_refused_address_is_a_failed_attempt_that_says_why(
    bench: Bench, run: Callable[[], None]
) -> None:
    async with receiving() as receiver:
        bench.engine.webhooks.addresses.__init__(())  # type: ignore[misc]
        await create(bench, receiver.url.replace("127.0.0.1", "localhost"))
        await bench.enqueue()
        run()
        await until_deliveries(bench, JobState.RETRYING, 1)
    assert receiver.told == []
    (job,) = await bench.store.find_jobs(await ids_of(bench))
    assert "--webhook-allow" in job.failures[0].error


async def test_deliveries_of_a_deleted_webhook_are_cancelled(
    hooked: Bench, run: Callable[[], None]
) -> None:
    async with receiving() as receiver:
        await create(hooked, receiver.url, enabled=False)
        enabled = WebhookSettings.model_validate({"url": receiver.url})
        await hooked.engine.webhooks.replace("hook", enabled)
        await hooked.enqueue()
        feed = WebhookFeed(hooked.engine.webhooks, hooked.engine.events, interval=0.01)
        task = asyncio.create_task(feed.run_once())
        await until_deliveries(hooked, JobState.PENDING, 1)
        await hooked.engine.webhooks.delete("hook")
        await task
        await create(hooked, receiver.url)
        run()
        await until_deliveries(hooked, JobState.CANCELLED, 1)
    assert receiver.told == []


async def test_end_of_the_service_gives_deliveries_back(hooked: Bench) -> None:
    engine = hooked.engine
    async with receiving() as receiver:
        receiver.is_hanging = True
        await create(hooked, receiver.url)
        await hooked.enqueue()
        feed = asyncio.create_task(WebhookFeed(engine.webhooks, engine.events, 0.01).run())
        service = WebhookDeliveries(engine.webhooks, engine.attempts, engine.wall, "node")
        await service.run_once()
        await until(lambda: bool(receiver.told))
        await service.close()
        feed.cancel()
        await until_deliveries(hooked, JobState.PENDING, 1)


async def is_disabled(bench: Bench) -> bool:
    return not any(record.is_enabled for record in await bench.engine.webhooks.list_all())


async def ids_of(bench: Bench) -> list[str]:
    return [event.job_id for event in await bench.store.read_events(0, 100) if event.queue == QUEUE]


async def until_async(condition: Callable[[], Any]) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)
