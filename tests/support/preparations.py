"""Prepares worlds for the operations of the API. Each function returns the request to send."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from corvo_schema import new_job_id
from support.api_client import ApiClient, Body, LeasedJob
from support.world import LEASED, World

SECRET = "s" * 16
"""Secret of the sources of webhooks."""


class Call(NamedTuple):
    """One request."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] | None = None


Prepare: TypeAlias = Callable[[ApiClient, World], Awaitable[Call]]
"""Prepares a world and returns the request of an operation on it."""


def _token(job: LeasedJob) -> Body:
    return {"lease_token": job["lease_token"]}


def _lease(job: LeasedJob) -> Body:
    return {"job_id": job["job_id"], **_token(job)}


# Producers


def enqueue(**options: Any) -> Prepare:
    async def prepare(_: ApiClient, world: World) -> Call:
        return Call("POST", "/enqueue", world.new_job(payload={"n": 1}, **options))

    return prepare


async def enqueue_without_id(_: ApiClient, world: World) -> Call:
    return Call("POST", "/enqueue", {"queue": world.queue, "payload": {"n": 1}})


def enqueue_with_taken_key(on_conflict: str, **options: Any) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        await world.add(api, payload={"n": 1}, unique_key="key")
        new = world.new_job(payload={"n": 2}, unique_key="key", on_conflict=on_conflict, **options)
        return Call("POST", "/enqueue", new)

    return prepare


def enqueue_batch(**options: Any) -> Prepare:
    async def prepare(_: ApiClient, world: World) -> Call:
        batch = {"batch": {"callback_queue": world.callbacks}} if options.get("has_batch") else {}
        jobs = [world.new_job(payload={"n": n}) for n in range(3)]
        return Call("POST", "/enqueue/batch", {"jobs": jobs, **batch})

    return prepare


# Workers


def fetch(count: int | None = None) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        await world.add_many(api, count or 1)
        body = {"queues": [world.queue], "worker_id": "worker-1", **LEASED}
        if count is None:
            return Call("POST", "/fetch", body)
        return Call("POST", "/fetch/batch", {**body, "count": count})

    return prepare


def end(verb: str, more: Body | None = None, **options: Any) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        job = await world.start(api, **options)
        return Call("POST", f"/{verb}/{job['job_id']}", {**_token(job), **(more or {})})

    return prepare


def end_batch(verb: str, items: str, more: Body | None = None, **options: Any) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        jobs = [await world.start(api, payload=n, **options) for n in range(2)]
        leases = [{**_lease(job), **(more or {})} for job in jobs]
        return Call("POST", f"/{verb}/batch", {items: leases})

    return prepare


async def ack_without_token(api: ApiClient, world: World) -> Call:
    await world.add(api)
    job = await api.fetch(world.queue, **{**LEASED, "fenced": False})
    return Call("POST", f"/ack/{job['job_id']}", {"result": 1})


def end_last_job_of_batch(verb: str, more: Body) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        batch = {"jobs": [world.new_job()], "batch": {"callback_queue": world.callbacks}}
        await api.post("/enqueue/batch", batch)
        job = await api.fetch(world.queue, **LEASED)
        return Call("POST", f"/{verb}/{job['job_id']}", {**_token(job), **more})

    return prepare


async def heartbeat(api: ApiClient, world: World) -> Call:
    job = await world.start(api)
    # Progress would add an event if the repeat comes more than ten seconds later.
    beat = {**_token(job), "checkpoint": {"at": 7}}
    return Call("POST", "/heartbeat", {"worker_id": "worker-1", "jobs": {job["job_id"]: beat}})


# Operators, on one job


def change(
    verb: str,
    make: Callable[[ApiClient, World], Awaitable[str]],
    body: Callable[[World], Body] | None = None,
) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        job_id = await make(api, world)
        return Call("POST", f"/jobs/{job_id}/{verb}", body(world) if body else None)

    return prepare


async def pending(api: ApiClient, world: World) -> str:
    return await world.add(api)


async def active(api: ApiClient, world: World) -> str:
    job_id: str = (await world.start(api))["job_id"]
    return job_id


async def dead(api: ApiClient, world: World) -> str:
    job = await world.start(api, max_retries=1)
    await api.fail(job)
    job_id: str = job["job_id"]
    return job_id


async def delete_job(api: ApiClient, world: World) -> Call:
    return Call("DELETE", f"/jobs/{await world.add(api)}")


# Operators, on many jobs


def bulk(action: str, *, has_filter: bool = False, count: int = 3, **options: Any) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        job_ids = await world.add_many(api, count)
        chosen: Body = {"filter": {"queue": world.queue}} if has_filter else {"job_ids": job_ids}
        more = {**options, **({"move_to_queue": world.other} if action == "move" else {})}
        return Call("POST", "/jobs/bulk", {"action": action, **chosen, **more})

    return prepare


async def cancel_bulk(api: ApiClient, world: World) -> Call:
    # On many jobs that do not exist, so that it has not ended when it is cancelled.
    missing = [new_job_id() for _ in range(5_000)]
    body = {"action": "cancel", "job_ids": missing, "async": True}
    operation = (await api.post("/jobs/bulk", body))["bulk_operation_id"]
    world.operations.append(operation)
    return Call("POST", f"/bulk/{operation}/cancel")


# Operators, on queues


def set_queue(
    setting: str, body: Body | None = None, *, before: str = "", method: str = "POST"
) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        await world.add(api)
        path = f"/queues/{world.queue}"
        if before:
            await api.post(
                f"{path}/{before}", {"rate": 5, "period": "1m"} if method == "DELETE" else None
            )
        return Call(method, f"{path}/{setting}", body)

    return prepare


def clear(count: int) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        await world.add_many(api, count)
        return Call("POST", f"/queues/{world.queue}/clear")

    return prepare


def delete_queue(count: int) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        await world.add_many(api, count)
        return Call("DELETE", f"/queues/{world.queue}?confirm=true")

    return prepare


# Schedules


def _new_schedule(world: World, **options: Any) -> Body:
    return {"name": world.schedule, "queue": world.queue, "cron": "@yearly", **options}


async def create_schedule(_: ApiClient, world: World) -> Call:
    return Call("POST", "/schedules", _new_schedule(world))


def _new_hook(world: World, path: str, **options: Any) -> Any:
    if path.startswith("/webhook-sources"):
        return {"name": world.hook, "queue": world.queue, "form": "token", "secret": SECRET}
    return {"name": world.hook, "url": "https://receiver.example/", "enabled": False, **options}


def create_hook(path: str) -> Prepare:
    async def prepare(_: ApiClient, world: World) -> Call:
        return Call("POST", path, _new_hook(world, path))

    return prepare


def edit_hook(method: str, path: str, **options: Any) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        await api.post(path.partition("/{")[0], _new_hook(world, path))
        body = _new_hook(world, path, **options) if method == "PUT" else options or None
        return Call(method, path.replace("{name}", world.hook), body)

    return prepare


async def receive_webhook(api: ApiClient, world: World) -> Call:
    await api.post("/webhook-sources", _new_hook(world, "/webhook-sources"))
    signed = {"x-webhook-token": SECRET, "webhook-id": "1"}
    return Call("POST", f"/webhooks/{world.queue}", {"n": 1}, signed)


async def clear_defaults(api: ApiClient, world: World) -> Call:
    path = f"/queues/{world.queue}/defaults"
    await api.send("PUT", path, {"max_retries": 7})
    await world.add(api)
    return Call("DELETE", path)


def edit_schedule(method: str, path: str, *, before: str = "", **options: Any) -> Prepare:
    async def prepare(api: ApiClient, world: World) -> Call:
        await api.post("/schedules", _new_schedule(world))
        if before:
            await api.post(f"/schedules/{world.schedule}/{before}")
        body = _new_schedule(world, **options) if options else None
        return Call(method, path.replace("{schedule}", world.schedule), body)

    return prepare
