"""Clients that make calls while faults are injected, and hold every answer against the guarantees.

They go on after refusals, unlike the clients of `support.load`, which stop without an answer.
"""

import asyncio
import json
import random
from collections import Counter

import httpx

from corvo_schema import new_job_id
from support.api_client import ApiClient, Body
from support.history import Call, History, Recorder, Stopped, can_be_repeated

OWN_QUEUES = ("operated", "elsewhere", "settings", "static", "filled")
"""Queues of the clients of this module."""
OPERATED, ELSEWHERE, SETTINGS, STATIC, FILLED = OWN_QUEUES
_PAUSE = 0.01
_MISSING = "missing"


class Answers:
    """The answers of all clients, by code. An answer that no fault excuses is a violation."""

    def __init__(self) -> None:
        self.codes: Counter[str] = Counter()
        """Of refusals by the store: UNAVAILABLE, STORAGE_FULL and OUTCOME_UNKNOWN."""
        self.reads: Counter[int] = Counter()
        """Statuses of reads of jobs."""
        self.violations: list[str] = []

    def note(self, what: str, response: httpx.Response) -> str | None:
        """Note an answer. Return the code if the call was refused because of a fault."""
        if response.status_code < 500:
            return None
        code: str = response.json()["code"]
        self.codes[code] += 1
        if code not in {"UNAVAILABLE", "STORAGE_FULL", "OUTCOME_UNKNOWN"}:
            self.violations.append(f"{what}: {response.text}")
        return code


class PersistentRecorder(Recorder):
    """Records calls until `stop` is set. Repeats every second call of unknown outcome."""

    def __init__(
        self, api: ApiClient, history: History, stop: asyncio.Event, answers: Answers
    ) -> None:
        super().__init__(api, history)
        self._stop = stop
        self._answers = answers
        self._unknown = 0

    async def answered(self, verb: str, body: Body) -> Call:
        """Make a call, and return its record, also if it was refused."""
        while not self._stop.is_set():
            call = await self.call(verb, body)
            self._note(call)
            if not call.is_done:
                await asyncio.sleep(_PAUSE)
            if call.is_open and can_be_repeated(call):
                self._unknown += 1
                if self._unknown % 2:
                    continue
            return call
        raise Stopped

    async def reported(self, verb: str, items: list[Body]) -> None:
        """Report the outcomes of jobs in one request."""
        if self._stop.is_set():
            raise Stopped
        for call in await self.outcomes(verb, items):
            self._note(call)

    def _note(self, call: Call) -> None:
        if call.is_open:
            if not self._stop.is_set():  # then the server was killed
                self._answers.codes["OUTCOME_UNKNOWN"] += 1
        elif call.status is not None and call.status >= 500:
            self._answers.codes[call.answer["code"]] += 1
            if call.status != 503:
                self._answers.violations.append(f"{call.verb}: {call.answer}")


class Operator:
    """Enqueues jobs and cancels, deletes or moves them, and sets a limit of a queue."""

    def __init__(self, chance: random.Random, answers: Answers) -> None:
        self._random = chance
        self._answers = answers
        self._allowed: dict[str, set[str]] = {}
        """What may be true of each job: missing, or its state and queue."""
        self._limits = {0}
        """What the limit may be."""
        self._number = 0

    @property
    def calls(self) -> int:
        """Number of changing calls."""
        return self._number

    async def run(self, api: ApiClient, stop: asyncio.Event) -> None:
        """Make calls until `stop` is set."""
        while not stop.is_set():
            job_id = new_job_id()
            here, there = f"pending in {OPERATED}", f"pending in {ELSEWHERE}"
            job = {"queue": OPERATED, "job_id": job_id}
            self._allowed[job_id] = {_MISSING}
            await self._change(api, job_id, here, "POST", "/enqueue", job)
            if self._allowed[job_id] == {here}:
                path = f"/jobs/{job_id}"
                after, method, path, body = self._random.choice(
                    (
                        (f"cancelled in {OPERATED}", "POST", f"{path}/cancel", None),
                        (_MISSING, "DELETE", path, None),
                        (there, "POST", f"{path}/move", {"queue": ELSEWHERE}),
                    )
                )
                await self._change(api, job_id, after, method, path, body)
            await self._set_limit(api)
            await asyncio.sleep(_PAUSE)

    async def _change(
        self, api: ApiClient, job_id: str, after: str, method: str, path: str, body: Body | None
    ) -> None:
        """Make a call after which a job is `after`."""
        self._number += 1
        before = self._allowed[job_id]
        self._allowed[job_id] = {*before, after}
        is_done = await self._is_done(api, method, path, body)
        if is_done is not None:
            self._allowed[job_id] = {after} if is_done else before

    async def _set_limit(self, api: ApiClient) -> None:
        self._number += 1
        before, limit = set(self._limits), self._number
        self._limits.add(limit)
        path = f"/queues/{SETTINGS}/concurrency"
        is_done = await self._is_done(api, "POST", path, {"max": limit})
        if is_done is not None:
            self._limits = {limit} if is_done else before

    async def _is_done(
        self, api: ApiClient, method: str, path: str, body: Body | None
    ) -> bool | None:
        """Make a call. Return whether it was done; None if that is unknown."""
        try:
            response = await api.send(method, path, body)
        except httpx.TransportError:
            return None
        code = self._answers.note(f"{method} {path}", response)
        if code is None:
            assert response.is_success, response.text
            return True
        return None if code == "OUTCOME_UNKNOWN" else False

    async def violations(self, api: ApiClient) -> list[str]:
        """Compare the state of the server with the answers."""
        ids = list(self._allowed)
        jobs = (await api.post("/jobs/bulk-get", {"job_ids": ids}))["jobs"] if ids else []
        found = {job["id"]: f"{job['state']} in {job['queue']}" for job in jobs}
        wrong = [
            f"{job_id} is {found.get(job_id, _MISSING)}, expected {' or '.join(sorted(allowed))}"
            for job_id, allowed in self._allowed.items()
            if found.get(job_id, _MISSING) not in allowed
        ]
        queues = await api.get("/queues")
        limits = [queue["max_concurrency"] or 0 for queue in queues if queue["name"] == SETTINGS]
        if not self._limits.intersection(limits or [0]):
            wrong.append(f"the limit is {limits}, expected one of {self._limits}")
        return wrong


class Reader:
    """Reads jobs that nobody changes: a read is right or refused."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._jobs: dict[str, int] = {}

    async def prepare(self, api: ApiClient) -> None:
        """Enqueue the jobs."""
        bodies = [{"queue": STATIC, "payload": number} for number in range(20)]
        answer = await api.post("/enqueue/batch", {"jobs": bodies})
        self._jobs = {job_id: number for number, job_id in enumerate(answer["job_ids"])}

    async def run(self, api: ApiClient, stop: asyncio.Event) -> None:
        """Read jobs until `stop` is set."""
        while not stop.is_set():
            for job_id in self._jobs:
                try:
                    response = await api.send("GET", f"/jobs/{job_id}")
                except httpx.TransportError:
                    break
                self._answers.reads[response.status_code] += 1
                if response.status_code != 503 and not self._is_right(job_id, response):
                    self._answers.violations.append(f"read of {job_id}: {response.text}")
                await asyncio.sleep(_PAUSE)

    def _is_right(self, job_id: str, response: httpx.Response) -> bool:
        return response.status_code == 200 and response.json()["payload"] == self._jobs[job_id]

    async def violations(self, api: ApiClient) -> list[str]:
        """Return the jobs that are missing or different."""
        responses = {job_id: await api.send("GET", f"/jobs/{job_id}") for job_id in self._jobs}
        return [
            f"{job_id}: {response.text}"
            for job_id, response in responses.items()
            if not self._is_right(job_id, response)
        ]


class Filler:
    """Enqueues large batches, while it is on. So the write-ahead log grows by 4 MB each."""

    _JOBS, _BYTES = 20, 200_000

    def __init__(self, answers: Answers) -> None:
        self.is_on = False
        self.stored = 0
        """Number of acknowledged batches."""
        self._unknown = 0
        self._answers = answers

    async def run(self, api: ApiClient, stop: asyncio.Event) -> None:
        """Enqueue batches until `stop` is set."""
        job = {"queue": FILLED, "payload": "x" * self._BYTES}
        body = json.dumps({"jobs": [job] * self._JOBS}).encode()
        while not stop.is_set():
            await asyncio.sleep(_PAUSE)
            if not self.is_on:
                continue
            try:
                response = await api.send("POST", "/enqueue/batch", raw=body)
            except httpx.TransportError:
                self._unknown += 1
                return
            code = self._answers.note("enqueue of a large batch", response)
            self.stored += code is None
            self._unknown += code == "OUTCOME_UNKNOWN"

    async def violations(self, api: ApiClient) -> list[str]:
        """Compare the number of stored jobs with the answers."""
        found = [queue for queue in await api.get("/queues") if queue["name"] == FILLED]
        batches = found[0]["pending"] / self._JOBS if found else 0
        if batches in range(self.stored, self.stored + self._unknown + 1):
            return []
        return [f"{batches} large batches, expected {self.stored} or {self._unknown} more"]
