"""A server in a container of the image under test.

Docker's packages are imported late, so that tests are collected and skipped with a reason if the
packages are missing.
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
"""The client of Docker's Python package, which has no types."""
LABEL = "dev.corvo.test"
"""Label on everything that the tests create. Its value is the id of the test run."""
PORT = 8080
UID = 10001
LOCKED_DOWN: Mapping[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}
"""Options of a container with the fewest rights."""


class CorvoContainer:
    """A container that a test can stop, kill and start again."""

    def __init__(
        self,
        image: str,
        label: str,
        *,
        volume: str | None = None,
        env: Mapping[str, str] | None = None,
        tmpfs: str | None = None,
        keys: list[str] | None = None,
        **options: Any,
    ) -> None:
        """`keys` collects the keys that servers printed. Containers on one volume share it."""
        self._keys = [] if keys is None else keys
        # The reaper of testcontainers needs another image. The tests remove containers by label.
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
        """Docker's current description of the container."""
        container: Any = self._made.get_wrapped_container()
        container.reload()
        return container

    @property
    def url(self) -> str:
        """The URL on this machine. The port changes with each start."""
        host = self._made.get_container_host_ip()
        ports = self.docker.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"]
        return f"http://{host}:{ports[0]['HostPort']}"

    @property
    def state(self) -> dict[str, Any]:
        """The state of the container: `Status`, `ExitCode`, `OOMKilled`, `Health` and others."""
        state: dict[str, Any] = self.docker.attrs["State"]
        return state

    @property
    def log(self) -> str:
        """The whole output of the container."""
        log: bytes = self.docker.logs()
        return log.decode()

    @property
    def api_key(self) -> str | None:
        """The key of an admin, which the first server on the volume has printed."""
        printed: bytes = self.docker.logs(stdout=True, stderr=False)
        self._keys += [line for line in printed.decode().split() if line not in self._keys]
        return self._keys[-1] if self._keys else None

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a client on this machine finds the server."""
        key = self.api_key
        return {"CORVO_SERVER": self.url} | ({} if key is None else {"CORVO_API_KEY": key})

    @property
    def health(self) -> str:
        """The health status: `starting`, `healthy` or `unhealthy`."""
        return str(self.state["Health"]["Status"])

    def launch(self) -> Self:
        """Create and start the container, without waiting for the server."""
        self._made.start()
        return self

    def start(self) -> Self:
        """Create and start the container. Return when the server is ready."""
        return self.launch().wait_until_ready()

    def restart(self) -> Self:
        """Start the container again after a stop or a kill. Return when the server is ready."""
        self.docker.start()
        return self.wait_until_ready()

    def wait_until_ready(self) -> Self:
        """Wait until the server answers requests. Fail if the container ends instead."""
        wait_blocking(self._is_ready, "the server in the container is ready")
        _ = self.api_key  # before the container can be removed
        return self

    def stop(self, within: int = 10) -> tuple[int, float]:
        """Stop the container as `docker stop` does. Return the exit code and the seconds."""
        container = self.docker
        began = time.monotonic()
        container.stop(timeout=within)
        took = time.monotonic() - began
        return int(container.wait()["StatusCode"]), took

    def kill(self) -> None:
        """Kill the container with SIGKILL."""
        container = self.docker
        container.kill()
        container.wait()

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command with the key in the container. Return its exit code and its output."""
        key = self.api_key
        environment = {} if key is None else {"CORVO_API_KEY": key}
        done = self.docker.exec_run(list(command), environment=environment)
        return int(done.exit_code), done.output.decode()

    def client(self) -> Client:
        """Return a client without retries. The caller closes it."""
        return Client(self.url, api_key=self.api_key, retry=NO_RETRIES)

    def close(self) -> None:
        """Remove the container and its anonymous volume."""
        self._made.stop()

    def _is_ready(self) -> bool:
        state = self.state
        assert state["Status"] == "running", f"{state}\n{self.log}"
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


class MakeContainer(Protocol):
    """The type of the fixture `make_container`."""

    def __call__(self, **options: Any) -> CorvoContainer: ...


def put_file(daemon: DockerClient, image: str, volume: str, name: str, content: bytes) -> None:
    """Write a file that belongs to the server's user into a volume."""
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
    """Return the command line of a worker on this machine."""
    return python("-m", "corvo_cli", "worker", target)
