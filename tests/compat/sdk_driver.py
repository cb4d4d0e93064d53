"""Runs the third-party client, without the packages of this repository.

    python -I -S sdk_driver.py SDKS OPTIONS

SDKS is the directory of the third-party SDKs. OPTIONS are the options of the client as JSON. Each
line of the input is a call as JSON. A line of the output has its result.
"""

import json
import sys
from importlib.util import find_spec
from itertools import islice
from typing import Any

sys.path.insert(0, sys.argv[1])

from corvo_client.client import ChainConfig, ChainStep

from corvo_client import CorvoClient, EnqueueOptions


class Driver:
    """Calls that are not methods of the client, or whose arguments are not JSON."""

    def __init__(self, client: CorvoClient) -> None:
        self.client = client

    def where(self, *modules: str) -> dict[str, str | None]:
        """Return the file of each module; None if the module cannot be imported."""
        specs = {module: find_spec(module) for module in modules}
        return {module: spec and spec.origin for module, spec in specs.items()}

    def enqueue_with(self, **options: Any) -> Any:
        """Enqueue with the SDK's own options."""
        if chain := options.pop("chain", None):
            steps = [ChainStep(**step) for step in chain["steps"]]
            options["chain"] = ChainConfig(steps)
        return self.client.enqueue_with(EnqueueOptions(**options))

    def take(self, events: int, **chosen: Any) -> list[Any]:
        """Return the first `events` events of a subscription."""
        return list(islice(self.client.subscribe(**chosen), events))


def main() -> None:
    client = CorvoClient(**json.loads(sys.argv[2]))
    driver = Driver(client)
    for line in sys.stdin:
        name, args, kwargs = json.loads(line)
        call = getattr(driver, name, None) or getattr(client, name)
        try:
            answer = {"returned": call(*args, **kwargs)}
        except Exception as error:  # noqa: BLE001 - the test checks the exception
            answer = {"raised": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
