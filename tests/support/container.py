"""A server in a container of the image under test, and the daemon that runs it.

Docker's packages are imported when they are needed, so that the tests can be collected, and skipped
with a reason, where they are missing.
"""

import io
import os
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import httpx

from corvo_client import NO_RETRIES, Client
from server_support.process import python
from server_support.waiting import wait_blocking

DockerClient = Any
"""Of Docker's package for Python, which has no types."""
LABEL = "dev.corvo.test"
"""On everything that the tests make, with the run as its value."""
PORT = 8080
UID = 10001
LOCKED_DOWN: Mapping[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}
"""How a careful operator runs it."""


class CorvoContainer:
    """One container, which can be stopped, killed and started again."""

    def __init__(
        self,
        image: str,
        label: str,
        *,
        volume: str | None = None,
        env: Mapping[str, str] | None = None,
        tmpfs: str | None = None,
        **options: Any,
    ) -> None:
        # Its reaper is an image of its own, which may not be had here; we sweep by label.
        os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
        from testcontainers.core.container import DockerContainer

        self._made = (
            DockerContainer(image)
            .with_exposed_ports(PORT)
            .with_envs(**(env or {}))
            .with_kwargs(labels={LABEL: label}, **options)
        )
        if tmpfs is not None:
            self._made.with_tmpfs_mount("/data", tmpfs)
        if volume is not None:
            self._made.with_volume_mapping(volume, "/data", "rw")

    @property
    def docker(self) -> Any:
        """Docker's own view of it, as of now."""
        container: Any = self._made.get_wrapped_container()
        container.reload()
        return container

    @property
    def url(self) -> str:
        """Where it is found on this machine: at another port after each start."""
        host = self._made.get_container_host_ip()
        ports = self.docker.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"]
        return f"http://{host}:{ports[0]['HostPort']}"

    @property
    def state(self) -> dict[str, Any]:
        """`Status`, `ExitCode`, `OOMKilled`, `Health` and the like."""
        state: dict[str, Any] = self.docker.attrs["State"]
        return state

    @property
    def log(self) -> str:
        """All that it has written."""
        log: bytes = self.docker.logs()
        return log.decode()

    @property
    def health(self) -> str:
        """`starting`, `healthy` or `unhealthy`."""
        return str(self.state["Health"]["Status"])

    def launch(self) -> Self:
        """Create and start it; it may not serve yet."""
        self._made.start()
        return self

    def start(self) -> Self:
        """Create and start it, and return once it serves."""
        return self.launch().wait_until_ready()

    def restart(self) -> Self:
        """Start it again after a stop or a kill, and return once it serves."""
        self.docker.start()
        return self.wait_until_ready()

    def wait_until_ready(self) -> Self:
        """Return once requests from this machine are answered. Fails when it ends instead."""
        wait_blocking(self._is_ready, "the server in the container is ready")
        return self

    def stop(self, within: int = 10) -> tuple[int, float]:
        """What Docker does on `docker stop`; the exit code, and how many seconds it took."""
        container = self.docker
        began = time.monotonic()
        container.stop(timeout=within)
        took = time.monotonic() - began
        return int(container.wait()["StatusCode"]), took

    def kill(self) -> None:
        """SIGKILL, as when the machine goes down."""
        container = self.docker
        container.kill()
        container.wait()

    def run(self, *command: str) -> tuple[int, str]:
        """A command inside; its exit code and its output."""
        done = self.docker.exec_run(list(command))
        return int(done.exit_code), done.output.decode()

    def client(self) -> Client:
        """A client of it that reports failures at once. Close it."""
        return Client(self.url, retry=NO_RETRIES)

    def close(self) -> None:
        """Remove it, with the volume if that is its own."""
        self._made.stop()

    def _is_ready(self) -> bool:
        state = self.state
        assert state["Status"] == "running", f"{state}\n{self.log}"
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


class MakeContainer(Protocol):
    """A factory of containers on the test's volume; see the fixture `make_container`."""

    def __call__(self, **options: Any) -> CorvoContainer: ...


def put_file(daemon: DockerClient, image: str, volume: str, name: str, content: bytes) -> None:
    """Put a file of the server's into a volume."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o600, UID, UID
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    holder = daemon.containers.create(image, volumes={volume: {"bind": "/data", "mode": "rw"}})
    try:
        holder.put_archive("/data", archive.getvalue())
    finally:
        holder.remove()


def worker_command(target: str) -> list[str | Path]:
    """The command line of a worker on this machine."""
    return python("-m", "corvo_cli", "worker", target)
