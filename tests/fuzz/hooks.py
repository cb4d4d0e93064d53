"""Hooks of the fuzzer, for rules that the OpenAPI description cannot express."""

import os
from typing import Any
from uuid import uuid4

import requests
import schemathesis
from schemathesis.generation.meta import TestPhase

ADMIN_KEY = os.environ["FUZZ_ADMIN_KEY"]
"""Empty if the server needs no keys."""
_refused: set[str] = set()
"""Operations that `refuses_strangers` has seen."""

# Examples for formats that JSON Schema cannot express. A cursor is valid only for its search, so it
# has none.
EXAMPLES = {
    "cron": ["0 8 * * MON-FRI", "*/5 0 L * *", "@daily"],
    "iana-time-zone": ["UTC", "Europe/Berlin", "Asia/Kolkata"],
    "corvo-duration": ["1s", "1m", "0.5m", "1s250ms"],
    "corvo-jq": [".a == 1", '.a.b | contains("x") and not (.c == 1)'],
    "corvo-cursor": [],
}


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Replace each text with a known format by a choice of examples."""
    _refine(raw_schema)


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]
) -> None:
    """Set the timeout of fetches to 0, and use an existing job in valid requests.

    Disable strict mode in valid requests. The description cannot express that strict mode refuses
    unknown fields.
    """
    body = case.body
    if case.path.startswith("/api/v1/fetch") and isinstance(body, dict) and _waits(body):
        body["timeout"] = 0
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.query.get("strict") in {"true", "1"}:
        case.query["strict"] = "false"
    if case.meta.phase.name is TestPhase.FUZZING and "job_id" in case.path_parameters:
        server = Server(case.operation.schema.get_base_url())
        case.path_parameters["job_id"] = server.job_for(case.path.split("/"))


@schemathesis.check
def refuses_strangers(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """Send what a key was allowed to do again without the key: it must be refused."""
    label = case.operation.label
    needs_key = case.operation.definition.raw.get("security")
    if not (ADMIN_KEY and needs_key and response.status_code < 300) or label in _refused:
        return
    _refused.add(label)
    again = response.request.copy()
    del again.headers["Authorization"]
    with requests.Session() as session:
        status = session.send(again, timeout=10).status_code
    if status != 401:
        raise AssertionError(f"{label} is answered without a key: {status}")


class Server:
    """Creates jobs for the requests of the fuzzer."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/api/v1"

    def job_for(self, path: list[str]) -> str:
        """Return the id of a new job in a state that allows the action in the path."""
        queue = f"fuzz-{uuid4().hex}"  # within the scope of callers with some queues
        job_id: str = self._post("/enqueue", {"queue": queue})["job_id"]
        if {"ack", "fail", "release", "requeue"} & {*path}:
            self._post("/fetch", {"queues": [queue], "worker_id": "fuzz", "timeout": 0})
        if "requeue" in path:
            self._post(f"/fail/{job_id}", {"error": "fuzz", "retry": False})
        if "retry" in path:
            self._post(f"/jobs/{job_id}/cancel", {})
        return job_id

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"x-api-key": ADMIN_KEY} if ADMIN_KEY else {}
        response = requests.post(self._url + path, json=body, headers=headers, timeout=10)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


def _waits(fetch: dict[str, Any]) -> bool:
    timeout = fetch.get("timeout")
    if isinstance(timeout, bool):
        return False
    return timeout is None or timeout in EXAMPLES["corvo-duration"] or _is_within(timeout, 0, 60)


def _is_within(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int | float) and low < value <= high


def _refine(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _refine(item)
    elif isinstance(node, dict):
        for item in node.values():
            _refine(item)
        examples = EXAMPLES.get(node.get("format", ""))
        if examples is not None:
            node.clear()
            node.update({"enum": examples} if examples else {"not": {}})
