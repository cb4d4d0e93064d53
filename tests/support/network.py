"""A network namespace with two links, of which a test can cut one.

Requires root, `ip`, and a kernel that allows namespaces. Most containers do not.
"""

import os
import shutil
import subprocess
from itertools import count
from typing import Self

_numbers = count(os.getpid() % 200 * 64)


class NetworkMissing(Exception):
    """Raised if a network namespace cannot be created. The message has the reason."""


class Network:
    """A namespace with a link for clients and a link to a database outside of it.

    Addresses are in the range that is reserved for tests (198.18.0.0/15).
    """

    def __init__(self) -> None:
        if os.getuid() != 0:
            raise NetworkMissing("only root can create a network namespace")
        if shutil.which("ip") is None:
            raise NetworkMissing("ip is not installed (Debian: apt-get install iproute2)")
        number = next(_numbers)
        self.name = f"corvo{number}"
        base = f"198.18.{number // 64 % 256}.{number % 32 * 8}".rpartition(".")
        first = int(base[2])
        addresses = [f"{base[0]}.{first + offset}" for offset in (1, 2, 5, 6)]
        self.clients_side, self.server_address, self.database_address, self.own = addresses
        self._links = (f"cvc{number}", f"cvd{number}")

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", self.name)
            self._link(self._links[0], self.clients_side, self.server_address)
            self._link(self._links[1], self.database_address, self.own)
            _ip("-n", self.name, "link", "set", "lo", "up")
        except NetworkMissing:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _link(self, name: str, outside: str, inside: str) -> None:
        _ip("link", "add", name, "type", "veth", "peer", "name", f"{name}n", "netns", self.name)
        _ip("address", "add", f"{outside}/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", self.name, "address", "add", f"{inside}/30", "dev", f"{name}n")
        _ip("-n", self.name, "link", "set", f"{name}n", "up")

    @property
    def prefix(self) -> list[str]:
        """The prefix of a command that runs inside the namespace."""
        return ["ip", "netns", "exec", self.name]

    def cut(self) -> None:
        """Drop all packets between the namespace and the database without closing connections."""
        _ip("link", "set", self._links[1], "down")

    def restore(self) -> None:
        """Let packets pass between the namespace and the database again."""
        _ip("link", "set", self._links[1], "up")

    def cut_clients(self) -> None:
        """Drop all packets on the link of the clients without closing connections."""
        _ip("link", "set", self._links[0], "down")

    def close(self) -> None:
        """Delete the namespace and its links."""
        for link in self._links:
            _run("link", "delete", link)
        _run("netns", "delete", self.name)


def _ip(*arguments: str) -> None:
    done = _run(*arguments)
    if done.returncode:
        raise NetworkMissing(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [shutil.which("ip") or "ip", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
