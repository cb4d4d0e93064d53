"""Group commit against one commit per request: enqueues a second, in one run, turn by turn.

python benchmarks/group_commit.py --connections 50 --seconds 4 --rounds 5
"""

import argparse
import asyncio
import statistics

from load import hammer, request
from server import running_server

VARIANTS = {"group commit": (), "a commit each": ("--max-commit", "1")}


def main() -> None:
    """Measure both variants in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name, extra in VARIANTS.items():
            rates[name].append(measure(options.connections, options.seconds, extra))
    for name, measured in rates.items():
        spread = f"{min(measured):,.0f} to {max(measured):,.0f}"
        print(f"{name:<14} {statistics.median(measured):>8,.0f}/s   ({spread})")
    grouped, each = (statistics.median(rates[name]) for name in VARIANTS)
    print(f"ratio          {grouped / each:>8.2f}")


def measure(connections: int, seconds: float, options: tuple[str, ...]) -> float:
    """Enqueues a second of one server."""
    with running_server("--log-level", "info", *options) as url:
        body = {"queue": "q", "payload": {"to": "ada@example.com", "subject": "hello"}}
        data = request(url, "POST", "/api/v1/enqueue", body)
        outcome = asyncio.run(hammer(url, connections, seconds, lambda: data))
        outcome.check(201)
        return outcome.rate


if __name__ == "__main__":
    main()
