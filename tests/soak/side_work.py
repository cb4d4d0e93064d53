"""Work beside the checked load: an operator who steers and looks, and jobs of every other kind."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import httpx

from soak.keys import Keys
from support.api_client import ApiClient, Body
from support.load import QUEUES

SPARE = "load-spare"
"""A queue whose jobs are moved, cancelled and deleted, which the history checker does not know."""
_PAUSE = 0.2
_EXPECTED = {404, 409, 429, 503}
"""Refusals of a call that is correct: the job or its state is gone, the server is busy or ends."""


class SideWork:
    """Makes a random call again and again. Each may fail when a server is killed."""

    def __init__(self, urls: Sequence[str], keys: Keys, chance: random.Random) -> None:
        self._urls = urls
        self._keys = keys
        self._random = chance
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        """Answers that a correct call must not get."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set."""
        works: list[Callable[[ApiClient, ApiClient], Awaitable[None]]] = [
            *(self._pause, self._look, self._follow, self._batch),
            *(self._unique, self._bulk, self._schedule, self._job),
        ]
        while not stop.is_set():
            url = self._random.choice(self._urls)
            async with (
                ApiClient(url, 6, key=self._keys.producer) as producer,
                ApiClient(url, 6, key=self._keys.operator) as operator,
            ):
                work = self._random.choice(works)
                try:
                    await work(producer, operator)
                    self.done[work.__name__.strip("_")] += 1
                except httpx.TransportError:
                    self.done["unanswered"] += 1
            await asyncio.sleep(_PAUSE)

    async def _call(
        self, api: ApiClient, method: str, path: str, body: Body | None = None
    ) -> Body | None:
        response = await api.send(method, path, body)
        if response.is_success:
            is_json = response.headers.get("content-type") == "application/json"
            found: Body | None = response.json() if is_json else None
            return found
        if response.status_code not in _EXPECTED:
            self.wrong.append(f"{method} {path}: {response.status_code} {response.text}")
        return None

    async def _pause(self, _: ApiClient, operator: ApiClient) -> None:
        queue = self._random.choice(QUEUES)
        await self._call(operator, "POST", f"/queues/{queue}/pause")
        await asyncio.sleep(_PAUSE)
        await self._call(operator, "POST", f"/queues/{queue}/resume")

    async def _look(self, producer: ApiClient, operator: ApiClient) -> None:
        for path in ("/queues", "/workers", "/schedules", "/batches", "/bulk", "/metrics"):
            await self._call(operator, "GET", path)
        search = {"queue": self._random.choice(QUEUES), "payload_jq": ".index == 1", "limit": 20}
        await self._call(operator, "POST", "/jobs/search", search)
        await self._call(producer, "GET", "/auth/status")

    async def _follow(self, producer: ApiClient, operator: ApiClient) -> None:
        """Follow the events for a while and hang up, as a page that is closed does."""
        headers = {"authorization": f"Bearer {self._keys.operator}"}
        async with (
            httpx.AsyncClient(base_url=operator.url, headers=headers, timeout=6) as http,
            http.stream("GET", "/api/v1/events", params={"queues": SPARE}) as response,
        ):
            lines = response.aiter_lines()
            await anext(lines, None)
            await self._call(producer, "POST", "/enqueue", {"queue": SPARE, "payload": "followed"})
            for _ in range(3):
                await anext(lines, None)

    async def _batch(self, producer: ApiClient, _: ApiClient) -> None:
        jobs = [{"queue": SPARE, "payload": number, "tags": {"of": "batch"}} for number in range(5)]
        options = {"callback_queue": SPARE, "callback_payload": "called back"}
        await self._call(producer, "POST", "/enqueue/batch", {"jobs": jobs, "batch": options})

    async def _unique(self, producer: ApiClient, _: ApiClient) -> None:
        for conflict in ("ignore", "replace", "error"):
            key = f"key-{self._random.randrange(1000)}"
            body = {"queue": SPARE, "payload": None, "unique_key": key, "on_conflict": conflict}
            await self._call(producer, "POST", "/enqueue", {**body, "delay": "1h"})

    async def _bulk(self, _: ApiClient, operator: ApiClient) -> None:
        action = self._random.choice(("cancel", "retry", "delete", "change_priority"))
        more = {"priority": "high"} if action == "change_priority" else {}
        body = {"action": action, "filter": {"queue": SPARE}, **more}
        await self._call(
            operator, "POST", "/jobs/bulk", {**body, "async": self._random.random() < 0.5}
        )

    async def _schedule(self, _: ApiClient, operator: ApiClient) -> None:
        name = f"spare-{self._random.randrange(5)}"
        body = {"name": name, "queue": SPARE, "cron": "* * * * *"}
        await self._call(operator, "POST", "/schedules", body)
        await self._call(operator, "POST", f"/schedules/{name}/run")
        await self._call(operator, "DELETE", f"/schedules/{name}")

    async def _job(self, producer: ApiClient, operator: ApiClient) -> None:
        job = await self._call(
            producer, "POST", "/enqueue", {"queue": SPARE, "payload": "x" * 5000}
        )
        if job is not None:
            path = f"/jobs/{job['job_id']}"
            await self._call(producer, "GET", path)
            await self._call(operator, "POST", f"{path}/priority", {"priority": "critical"})
            await self._call(operator, "POST", f"{path}/cancel")
