"""Make and cache a separate environment for each system."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from corvo_bench.results import NotRun

PEERS = Path(__file__).parents[2] / "peers"
_HARNESS = PEERS / "harness.py"
_NODE = PEERS / "node"
_INSTALL_SECONDS = 600
_COMPLETE = ".complete"


def command_of(runtime: str, adapter: str) -> list[str]:
    """Return the command that runs the harness with an adapter. Make its environment if needed.

    `runtime` is `own`, `node`, or the name of a file in `peers/requirements`. Raises `NotRun` if
    the environment cannot be made.
    """
    if runtime == "own":
        return [sys.executable, str(_HARNESS), adapter]
    if runtime == "node":
        return [*_node_command(), adapter]
    return [str(_python_of(runtime)), str(_HARNESS), adapter]


def versions_of(runtime: str, package: str) -> str:
    """Return the pinned version of a package."""
    if runtime == "node":
        text = (_NODE / "package.json").read_text(encoding="utf-8")
        return text.partition(f'"{package}": "')[2].partition('"')[0]
    text = (PEERS / "requirements" / f"{runtime}.txt").read_text(encoding="utf-8")
    return text.splitlines()[0].partition("==")[2]


def cache() -> Path:
    """Return the directory of the environments."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "corvo-bench"


def _python_of(name: str) -> Path:
    requirements = PEERS / "requirements" / f"{name}.txt"
    wanted = requirements.read_bytes() + sys.version.encode()
    place = cache() / f"{name}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    python = place / "bin" / "python"
    if not (place / _COMPLETE).exists():
        shutil.rmtree(place, ignore_errors=True)
        _run([sys.executable, "-m", "virtualenv", "--quiet", str(place)])
        _run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)])
        (place / _COMPLETE).touch()
    return python


def _node_command() -> list[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotRun("node and npm are not installed")
    package = _NODE / "package.json"
    place = cache() / f"node-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    # Node looks for modules beside the importing file.
    for path in _NODE.iterdir():
        shutil.copy(path, place)
    if not (place / _COMPLETE).exists():
        _run([npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(place)])
        (place / _COMPLETE).touch()
    return [node, str(place / "harness.mjs")]


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own command lines
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALL_SECONDS,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotRun(f"`{command[-3]} …` took too long") from None
    if done.returncode:
        last = done.stdout.strip().splitlines()[-1:] or ["the installer printed nothing"]
        raise NotRun(f"cannot install its packages: {last[0]}")
