"""Typical searches of an operator in the jobs that `seed` makes."""

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from corvo_bench.seed import CUSTOMERS, QUEUES, REGIONS
from corvo_bench.server import DATABASE

Body = dict[str, Any]

PRESENTED = "queue + completed + customer"


def searches(data_dir: Path) -> dict[str, Callable[[], Body]]:
    """Return functions by name that make request bodies with new random values."""
    chance = random.Random(11)
    keys = _unique_keys(data_dir)

    def queue() -> str:
        return f"queue-{chance.randrange(QUEUES):02d}"

    def customer() -> str:
        number = chance.randrange(CUSTOMERS // 10) * 10 + chance.randrange(7)
        return f"c{number:05d}"

    def region() -> str:
        return chance.choice(REGIONS)

    return {
        "latest": lambda: {"limit": 50},
        "queue + dead": lambda: {"queue": queue(), "state": ["dead"]},
        PRESENTED: lambda: {
            "queue": queue(),
            "state": ["completed"],
            "tags": {"customer": customer()},
        },
        "queue + completed + region": lambda: {
            "queue": queue(),
            "state": ["completed"],
            "tags": {"region": region()},
        },
        "customer": lambda: {"tags": {"customer": customer()}},
        "unique key": lambda: {"unique_key": chance.choice(keys)},
        "dead + error text": lambda: {
            "state": ["dead"],
            "error_contains": f"host-{chance.randrange(50)} ",
        },
        "created in a minute": lambda: _minute(chance),
        "queue + jq, common": lambda: {
            "queue": queue(),
            "payload_jq": f'.template == "welcome-{chance.randrange(7)}"',
        },
        "payload text, rare": lambda: {"payload_contains": f'"user_id":{chance.randrange(10**5)},'},
        "jq, rare": lambda: {"payload_jq": f".user_id == {chance.randrange(10**5)}"},
        "completed last": lambda: {"sort": "completed_at"},
    }


def _minute(chance: random.Random) -> Body:
    at = time.time() - chance.randrange(1, 5 * 86_400)
    after, before = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)) for moment in (at, at + 60)
    )
    return {"created_after": after, "created_before": before}


def _unique_keys(data_dir: Path) -> list[str]:
    statement = "SELECT unique_key FROM jobs WHERE unique_key IS NOT NULL LIMIT 1000"
    with closing(sqlite3.connect(data_dir / DATABASE)) as connection:
        return [key for (key,) in connection.execute(statement)]
