"""How long searches and the list of queues take on a seeded data directory.

python benchmarks/seed.py /tmp/million
python benchmarks/search.py /tmp/million

One request at a time, over HTTP, each with other values; the first pages with their totals.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from load import Connection, request
from seed import CUSTOMERS, QUEUES, REGIONS
from server import running_server

Body = dict[str, Any]


def searches(chance: random.Random, data_dir: Path) -> dict[str, Callable[[], Body]]:
    """The searches by name, each a maker of bodies."""
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
        "queue + completed + customer": lambda: {
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


def main() -> None:
    """Run every search and print how long it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--times", type=int, default=200, help="of each quick search")
    parser.add_argument("--only", help="searches whose name contains this")
    options = parser.parse_args()
    chance = random.Random(11)  # noqa: S311 - values to search for
    chosen = {
        name: make
        for name, make in searches(chance, options.data_dir).items()
        if options.only is None or options.only in name
    }
    with running_server(data_dir=options.data_dir) as url:
        asyncio.run(_measure(url, chosen, options.times))


async def _measure(url: str, chosen: dict[str, Callable[[], Body]], times: int) -> None:
    connection = await Connection.open(url)
    print(f"{'':<30} {'p50':>9} {'p99':>9} {'most':>9}   jobs  total (last)")
    for name, make in chosen.items():
        bodies = (request(url, "POST", "/api/v1/jobs/search", make()) for _ in range(times))
        await _report(connection, name, bodies)
    listing = request(url, "GET", "/api/v1/queues")
    await _report(connection, "GET /queues", (listing for _ in range(times)))
    connection.close()


async def _report(connection: Connection, name: str, requests: Any) -> None:
    """Ask for ten seconds at most, and print the latencies in milliseconds."""
    taken: list[float] = []
    found = 0
    reply: Any = None
    deadline = time.perf_counter() + 10
    for data in requests:
        started = time.perf_counter()
        status, body = await connection.ask(data)
        taken.append((time.perf_counter() - started) * 1000)
        if status != 200:
            raise SystemExit(f"{name}: {status} {body.decode()}")
        reply = json.loads(body)
        found += len(reply["jobs"] if isinstance(reply, dict) else reply)
        if time.perf_counter() > deadline:
            break
    taken.sort()
    p50, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    told = f"{found / len(taken):6.1f}"
    if isinstance(reply, dict):
        told += f"  {'' if reply['total_is_exact'] else 'at least '}{reply['total']:,}"
    print(f"{name:<30} {p50:>6.2f} ms {p99:>6.2f} ms {taken[-1]:>6.2f} ms {told}")


def _minute(chance: random.Random) -> Body:
    at = time.time() - chance.randrange(1, 5 * 86_400)
    after, before = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)) for moment in (at, at + 60)
    )
    return {"created_after": after, "created_before": before}


def _unique_keys(data_dir: Path) -> list[str]:
    statement = "SELECT unique_key FROM jobs WHERE unique_key IS NOT NULL LIMIT 1000"
    with closing(sqlite3.connect(data_dir / "corvo.db")) as connection:
        return [key for (key,) in connection.execute(statement)]


if __name__ == "__main__":
    main()
