"""The part of a server that one operation of a test changes: its own queues, jobs and schedules."""

from typing import Any

from corvo_schema import new_job_id
from server_support.waiting import wait_until
from support.api_client import ApiClient, Body, LeasedJob, new_name

_MANY = 20
"""Number of jobs of a queue above which a view has no timelines."""
_TIMES = ("_at", "next_run", "last_run", "last_skipped")
"""Ends of the names of fields that differ from run to run. Views say only whether they are set."""
_VOLATILE = ("id", "oldest_pending_ms", "lease_token", "upcoming")


class World:
    """Queues and schedules whose names begin with a unique name, and everything in them."""

    def __init__(self) -> None:
        self.queue = new_name("world")
        self.other = f"{self.queue}-other"
        self.callbacks = f"{self.queue}-callbacks"
        self.schedule = f"{self.queue}-schedule"
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
        return await api.fetch(self.queue, fenced=True)

    async def view(self, api: ApiClient) -> Body:
        """Return everything that the API tells of this world, without ids, times and tokens.

        Views of two worlds are equal if the same happened in them: each event, attempt, counter and
        setting appears in the view.
        """
        names: dict[str, str] = {self.queue: "world"}
        queues = [queue for queue in await api.get("/queues") if self._has(queue["name"])]
        jobs: list[Body] = []
        for name in (self.queue, self.other, self.callbacks):
            search = {"queue": name, "sort": "created_at", "order": "asc", "limit": 1000}
            found = (await api.post("/jobs/search", search))["jobs"]
            if len(found) <= _MANY:
                found = [await api.job(job["id"]) for job in found]
            jobs += found
        for job in jobs:
            names[job["id"]] = f"job {len(names)}"
        batches: Body = {}
        for batch_id in dict.fromkeys(job["batch_id"] for job in jobs if job["batch_id"]):
            names[batch_id] = f"batch {len(batches)}"
            batches[names[batch_id]] = await api.get(f"/batches/{batch_id}")
        for batch_id in self.operations:
            names[batch_id] = f"operation {len(names)}"
        schedules = [item for item in await api.get("/schedules") if self._has(item["name"])]
        operations = [await api.get(f"/bulk/{operation}") for operation in self.operations]
        seen = {
            "queues": sorted(queues, key=lambda queue: str(queue["name"])),
            "jobs": jobs,
            "batches": batches,
            "schedules": schedules,
            "operations": operations,
        }
        view: Body = _plain(seen, names)
        return view

    async def changed(self, api: ApiClient, before: Body) -> Body:
        """Wait until the view is another one than `before`, and at rest. Return it."""
        last = before

        async def is_at_rest() -> bool:
            nonlocal last
            previous, last = last, await self.view(api)
            return last == previous != before

        await wait_until(is_at_rest, "the world has changed")
        return last

    def _has(self, name: str) -> bool:
        return name == self.queue or name.startswith(f"{self.queue}-")


def without_events(view: Body) -> Body:
    """Return a view without the events of its jobs."""
    return {**view, "jobs": [{**job, "timeline": None} for job in view["jobs"]]}


def _plain(value: Any, names: dict[str, str], key: str = "") -> Any:
    """Replace ids and names by those of `names`, and times by whether they are set."""
    if isinstance(value, dict):
        return {
            name: _plain(item, names, name) for name, item in value.items() if name not in _VOLATILE
        }
    if isinstance(value, list):
        return [_plain(item, names) for item in value]
    if value is not None and key.endswith(_TIMES):
        return "set"
    if isinstance(value, str):
        for name, plain in names.items():
            value = value.replace(name, plain)
    return value
