"""The HTTP API in raw requests, as a client in any language would send them."""

import json
import os
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from uuid import uuid4

import httpx

from server_support.process import are_keys_used
from server_support.waiting import wait_until

API = "/api/v1"
_WAITING = "corvo_waiting_fetches "
_BACKLOG = "corvo_write_backlog "
JSON = {"content-type": "application/json"}

Body = dict[str, Any]
LeasedJob = dict[str, Any]


class Refusal(NamedTuple):
    """A response with a status of 400 or more."""

    status: int
    code: str
    error: str
    fields: list[str]
    """The JSON paths of the invalid fields."""
    headers: httpx.Headers


def new_name(prefix: str = "queue") -> str:
    """Return a unique name."""
    return f"{prefix}-{uuid4().hex[:12]}"


class ApiClient:
    """Sends requests to one server. A method fails the test if the response is unexpected."""

    def __init__(
        self,
        url: str,
        patience: float = 90,
        *,
        key: str | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        """Connect lazily to `url`. `patience` is the read timeout in seconds.

        `key` is an API key, which every request sends. By default it is that of the tests.
        """
        if key is None and are_keys_used():
            key = os.environ["CORVO_API_KEY"]
        self.url = url
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(min(30, patience), read=patience),
            limits=limits,
            headers={} if key is None else {"authorization": f"Bearer {key}"},
            trust_env=False,
            verify=verify,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    # Requests

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        raw: bytes | None = None,
    ) -> httpx.Response:
        """Send a request. `body` is sent as JSON; `raw` is sent unchanged and declared as JSON."""
        content = raw if body is None else json.dumps(body).encode()
        declared = JSON if content is not None else {}
        return await self._http.request(
            method, _full(path), content=content, headers={**declared, **(headers or {})}
        )

    async def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        return _accepted(await self.send("GET", path))

    async def post(self, path: str, body: Any = None, *, raw: bytes | None = None) -> Any:
        """Return the JSON of the response; None for 204."""
        return _accepted(await self.send("POST", path, body, raw=raw))

    async def delete(self, path: str) -> Any:
        """Return the JSON of the response."""
        return _accepted(await self.send("DELETE", path))

    async def refused(
        self,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> Refusal:
        """Return the refusal of a request that must fail."""
        return refusal_of(await self.send(method, path, body, raw=raw, headers=headers))

    # Verbs

    async def enqueue(self, queue: str, payload: Any = None, **options: Any) -> str:
        """Enqueue a new job and return its id."""
        body = {"queue": queue, "payload": payload, **options}
        response = await self.send("POST", "/enqueue", body)
        assert response.status_code == 201, response.text
        job_id: str = response.json()["job_id"]
        return job_id

    async def fetch(self, *queues: str, **options: Any) -> LeasedJob:
        """Fetch a job. Fail if there is none."""
        job = await self.try_fetch(*queues, **options)
        assert job is not None, f"no job in {queues}"
        return job

    async def try_fetch(self, *queues: str, **options: Any) -> LeasedJob | None:
        """Fetch a job, or return None. Wait only if `timeout` is given."""
        body = {"queues": queues, "worker_id": "worker-1", "timeout": 0, **options}
        job: LeasedJob | None = await self.post("/fetch", body)
        return job

    async def fetch_batch(self, *queues: str, count: int, **options: Any) -> list[LeasedJob]:
        """Fetch up to `count` jobs. Wait only if `timeout` is given."""
        body = {"queues": queues, "worker_id": "worker-1", "timeout": 0, "count": count, **options}
        jobs: list[LeasedJob] = (await self.post("/fetch/batch", body))["jobs"]
        return jobs

    async def ack(self, job: LeasedJob, **more: Any) -> None:
        """Complete a fetched job."""
        answer = await self.post(f"/ack/{job['job_id']}", {**_token(job), **more})
        assert answer == {"status": "ok"}

    async def fail(self, job: LeasedJob, error: str = "it broke", **more: Any) -> Body:
        """Fail the attempt of a fetched job."""
        body = {"error": error, **_token(job), **more}
        answer: Body = await self.post(f"/fail/{job['job_id']}", body)
        return answer

    async def release(self, job: LeasedJob, **more: Any) -> Body:
        """Release a fetched job."""
        answer: Body = await self.post(f"/release/{job['job_id']}", {**_token(job), **more})
        return answer

    async def heartbeat(self, job: LeasedJob, **more: Any) -> Body:
        """Extend the lease of a fetched job. Return the reply for this job."""
        body = {"jobs": {job["job_id"]: {**_token(job), **more}}}
        answer: Body = (await self.post("/heartbeat", body))["jobs"][job["job_id"]]
        return answer

    async def job(self, job_id: str) -> Body:
        """Return a job."""
        job: Body = await self.get(f"/jobs/{job_id}")
        return job

    async def state(self, job_id: str) -> str:
        """Return the state of a job."""
        state: str = (await self.job(job_id))["state"]
        return state

    async def events_of(self, job_id: str) -> list[str]:
        """Return the types of the events of a job, oldest first."""
        return [event["type"] for event in (await self.job(job_id))["timeline"]]

    async def queue(self, name: str) -> Body:
        """Return a queue from the list of all queues."""
        (found,) = [queue for queue in await self.get("/queues") if queue["name"] == name]
        queue: Body = found
        return queue

    async def waiting_fetches(self) -> int:
        """Return the number of waiting fetches from the metrics."""
        return await self._gauge(_WAITING)

    async def _gauge(self, name: str) -> int:
        text = (await self.send("GET", "/metrics")).text
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        return int(float(line.removeprefix(name)))

    async def see_waiting(self, fetches: int) -> None:
        """Wait until exactly this number of fetches wait at the server."""

        async def is_so() -> bool:
            return await self.waiting_fetches() == fetches

        await wait_until(is_so, f"{fetches} waiting fetches")

    async def see_no_claims(self) -> None:
        """Wait until the server has no write in progress."""

        async def is_so() -> bool:
            return await self._gauge(_BACKLOG) == 0

        await wait_until(is_so, "no write is in progress")

    async def see_state(self, job_id: str, *states: str) -> Body:
        """Wait until a job is in one of the states, then return the job."""

        async def job_in_state() -> Body | None:
            job = await self.job(job_id)
            return job if job["state"] in states else None

        return await wait_until(job_in_state, f"{job_id} is {' or '.join(states)}")


def refusal_of(response: httpx.Response) -> Refusal:
    """Return the refusal in a response. Fail if it is malformed or contains a traceback."""
    assert response.status_code >= 400, f"{response.status_code}: {response.text}"
    assert response.headers["content-type"] == "application/json"
    assert "Traceback" not in response.text
    body = response.json()
    assert body["request_id"] == response.headers["x-request-id"]
    assert isinstance(body["error"], str)
    assert body["error"]
    fields = [detail["field"] for detail in body.get("details", ())]
    return Refusal(response.status_code, body["code"], body["error"], fields, response.headers)


def _accepted(response: httpx.Response) -> Any:
    assert response.is_success, f"{response.request.url}: {response.status_code} {response.text}"
    return response.json() if response.status_code != 204 else None


def _full(path: str) -> str:
    return path if path in {"/healthz", "/readyz"} else API + path


def _token(job: LeasedJob) -> Body:
    return {"lease_token": job["lease_token"]}
