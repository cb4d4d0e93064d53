"""The part of a server that one operation of a test changes: its own queues, jobs and schedules."""

import re
from typing import Any

from corvo_schema import new_job_id
from server_support.waiting import wait_until
from support.api_client import ApiClient, Body, LeasedJob, new_name

LEASED: Body = {"timeout": 0, "fenced": True, "lease_duration": 3600}
"""Options of a fetch whose lease outlasts the test."""
_MANY = 20
"""Number of jobs of a queue above which a view has no timelines."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
_ID = re.compile(r"[a-z]+_[0-9A-Z]{26}")
_VOLATILE = ("id", "oldest_pending_ms", "lease_token", "upcoming")


class World:
    """Queues and schedules whose names begin with a unique name, and everything in them."""

    def __init__(self) -> None:
        self.queue = new_name("world")
        self.other = f"{self.queue}-other"
        self.callbacks = f"{self.queue}-callbacks"
        self.schedule = f"{self.queue}-schedule"
        self.hook = self.queue
        """Name of a webhook and of a source."""
        self.operations: list[str] = []
        """Ids of bulk operations that were begun for the world."""

    def new_job(self, **options: Any) -> Body:
        """Return an enqueue of a job with an id from the client."""
        return {"queue": self.queue, "job_id": new_job_id(), **options}

    async def add(self, api: ApiClient, **options: Any) -> str:
        """Enqueue a job. Return its id."""
        return await api.enqueue(self.queue, **options)

    async def add_many(self, api: ApiClient, count: int) -> list[str]:
        """Enqueue many jobs. Return their ids."""
        jobs = [{"queue": self.queue, "payload": number} for number in range(count)]
        job_ids: list[str] = (await api.post("/enqueue/batch", {"jobs": jobs}))["job_ids"]
        return job_ids

    async def start(self, api: ApiClient, **options: Any) -> LeasedJob:
        """Enqueue and fetch a job."""
        await self.add(api, **options)
        return await api.fetch(self.queue, **LEASED)

    async def view(self, api: ApiClient) -> Body:
        """Return everything that the API tells of this world, without ids, times and tokens.

        Views of two worlds are equal if the same happened in them: each event, attempt, counter and
        setting appears in the view.
        """
        names: dict[str, str] = {}
        queues: list[Body] = []
        jobs: list[Body] = []
        for name in (self.queue, self.other, self.callbacks):
            if not (found_queue := await _find(api, f"/queues/{name}")):
                continue
            queues += found_queue
            search = {"queue": name, "sort": "created_at", "order": "asc", "limit": 1000}
            found = (await api.post("/jobs/search", search))["jobs"]
            if len(found) <= _MANY:
                # A service may have deleted a job since the search.
                found = [item for job in found for item in await _find(api, f"/jobs/{job['id']}")]
            jobs += found
        for job in jobs:
            names[job["id"]] = f"job {len(names)}"
        batches: Body = {}
        for batch_id in dict.fromkeys(job["batch_id"] for job in jobs if job["batch_id"]):
            names[batch_id] = f"batch {len(batches)}"
            batches[names[batch_id]] = await api.get(f"/batches/{batch_id}")
        for batch_id in self.operations:
            names[batch_id] = f"operation {len(names)}"
        operations = [await api.get(f"/bulk/{operation}") for operation in self.operations]
        seen = {
            "queues": queues,
            "jobs": jobs,
            "batches": batches,
            "schedules": await _find(api, f"/schedules/{self.schedule}"),
            "operations": operations,
            "webhooks": await self._hooks(api, "/webhooks"),
            "sources": await self._hooks(api, "/webhook-sources"),
        }
        view: Body = self._plain(seen, names)
        return view

    async def _hooks(self, api: ApiClient, path: str) -> list[Body]:
        found: list[Body] = (await api.send("GET", path)).json()
        return [hook for hook in found if hook["name"] == self.hook]

    async def changed(self, api: ApiClient, before: Body) -> Body:
        """Wait until the view is another one than `before`, and at rest. Return it."""
        last = before

        async def is_at_rest() -> bool:
            nonlocal last
            previous, last = last, await self.view(api)
            return last == previous != before

        await wait_until(is_at_rest, "the world has changed")
        return last

    def _plain(self, value: Any, names: dict[str, str]) -> Any:
        """Replace the ids of `names`, the name of the world, and times."""
        if isinstance(value, dict):
            return {
                name: self._plain(item, names)
                for name, item in value.items()
                if name not in _VOLATILE
            }
        if isinstance(value, list):
            return [self._plain(item, names) for item in value]
        if isinstance(value, str):
            known = _ID.sub(lambda found: names.get(found[0], "unknown"), value)
            return _TIME.sub("a time", known.replace(self.queue, "world"))
        return value


def without_events(view: Body) -> Body:
    """Return a view without the events of its jobs."""
    return {**view, "jobs": [{**job, "timeline": None} for job in view["jobs"]]}


async def _find(api: ApiClient, path: str) -> list[Body]:
    """Return what is at a path, if there is anything."""
    response = await api.send("GET", path)
    assert response.status_code in {200, 404}, response.text
    return [response.json()] if response.status_code == 200 else []
