"""Describe the machine of a run, without its name."""

import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("corvo-server", "corvo-client", "corvo-schema", "sanic", "uvloop", "httpx", "orjson")
_BLOCK = b"\x5a" * 4096


def describe(directory: Path) -> dict[str, Any]:
    """Return the hardware, kernel, file system and load. `directory` is that of the data."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "filesystem": _filesystem(directory),
        "load_before": list(os.getloadavg()),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, SQLite and the packages that affect the metrics."""
    import sqlite3  # noqa: PLC0415 - only for its version

    found = {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def cpu_model() -> str:
    """Return the model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def fsyncs_per_second(directory: Path, seconds: float) -> float:
    """Return how often per second a block of 4 KB can be appended to a file and fsynced."""
    path = directory / "fsync-probe"
    count = 0
    with path.open("wb", buffering=0) as file:
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            file.write(_BLOCK)
            os.fsync(file.fileno())
            count += 1
        took = time.perf_counter() - started
    path.unlink()
    return count / took


def _filesystem(directory: Path) -> str:
    """Return the type of the file system of `directory`."""
    directory = directory.resolve()
    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    for path in (directory, *directory.parents):
        if str(path) in mounts:
            return str(mounts[str(path)])
    return "unknown"
