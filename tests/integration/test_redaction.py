"""Secret values of payloads on a server process: client, log and command line."""

import os
import subprocess
import sys

import pytest

from corvo_client import Client, Forbidden
from support.server import StartServer

CARD = "4111-1111-1111-1111"
ADDRESS = "Main Street 5"
RULES = "$.card.*,people.*:$.address"


def test_values_are_masked_for_keys_below_operator(start_server: StartServer) -> None:
    server = start_server(redact=RULES)
    with Client(server.url) as client:
        admin = client.create_key("admin", roles=["admin"]).key
    with Client(server.url, api_key=admin) as client:
        keys = {role: client.create_key(role, roles=[role]).key for role in ("worker", "readonly")}
        payload = {"card": {"number": CARD}, "address": ADDRESS}
        job_ids = [client.enqueue(queue, payload).job_id for queue in ("people.eu", "orders")]
        with Client(server.url, api_key=keys["worker"]) as worker:
            for job in worker.fetch_batch(["people.eu", "orders"], worker_id="w", count=2):
                assert job.payload == payload
                worker.fail(job.job_id, f"{CARD} declined", lease_token=job.lease_token)
        assert client.get_job(job_ids[0]).payload == payload
    with Client(server.url, api_key=keys["readonly"]) as client:
        people, order = (client.get_job(job_id) for job_id in job_ids)
        assert people.payload == {"card": {"number": "[redacted]"}, "address": "[redacted]"}
        assert order.payload == {"card": {"number": "[redacted]"}, "address": ADDRESS}
        assert [error.error for error in people.errors] == ["[redacted] declined"]
        assert client.search(queue="orders", payload_jq=f'.address == "{ADDRESS}"').total == 1
        for asking in ({"payload_contains": "4111"}, {"payload_jq": ".address"}):
            with pytest.raises(Forbidden, match="role operator"):
                client.search(queue="people.eu", **asking)
    command = [sys.executable, "-m", "corvo_cli", "--server", server.url]
    done = subprocess.run(
        [*command, "inspect", job_ids[0]],
        env={**os.environ, "CORVO_API_KEY": keys["readonly"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "[redacted]" in done.stdout
    for text in (done.stdout, *server.lines):
        assert CARD not in text
        assert ADDRESS not in text
