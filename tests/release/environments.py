"""Virtual environments that contain only the given requirements."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from release.wheels import PACKAGES
from server_support.process import clean_environment

_LISTED = """
import importlib.metadata, json, re
names = (found.metadata["Name"] for found in importlib.metadata.distributions())
print(json.dumps([re.sub("[-_.]+", "-", name).lower() for name in names]))
"""


class Done(NamedTuple):
    """The result of a program."""

    code: int
    out: str
    err: str


class Environment:
    """A virtual environment. Programs in it cannot import modules of the checkout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._scripts = path / ("Scripts" if sys.platform == "win32" else "bin")

    def program(self, name: str) -> Path:
        """Return the path of a program of the environment."""
        return self._scripts / name

    def run(self, name: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Done:
        """Run a program of the environment to its end, in the directory of the environment."""
        done = subprocess.run(
            [self.program(name), *arguments],
            cwd=self.path,
            env=_environment(env),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def python(self, code: str) -> str:
        """Run Python code and return its output. Fail if the code fails."""
        done = self.run("python", "-I", "-c", code)
        assert done.code == 0, done.err
        return done.out

    def distributions(self) -> set[str]:
        """Return the normalized names of all installed distributions."""
        names: list[str] = json.loads(self.python(_LISTED))
        return set(names)


class Environments:
    """Creates environments and reuses them."""

    def __init__(self, wheels: Path, home: Path) -> None:
        self.wheels = wheels
        self._home = home
        self._made: dict[tuple[str, ...], Environment] = {}

    def with_(self, *requirements: str) -> Environment:
        """Return the environment in which a single command installed all requirements."""
        if requirements not in self._made:
            path = self._home / str(len(self._made))
            uv("venv", "--quiet", "--python", sys.executable, path)
            self._install("--python", path, *requirements)
            self._made[requirements] = Environment(path)
        return self._made[requirements]

    def resolve(self, *requirements: str) -> None:
        """Fail if no set of versions meets all requirements."""
        path = self._home / "resolved"
        if not path.exists():
            uv("venv", "--quiet", "--python", sys.executable, path)
        self._install("--dry-run", "--python", path, *requirements)

    def _install(self, *arguments: str | Path) -> None:
        # The directory has our packages. The index may have other projects of the same names.
        # uv caches wheels by their path: an earlier build of this version could be installed.
        fresh = [f"--refresh-package={name}" for name in PACKAGES]
        uv("pip", "install", "--quiet", *fresh, "--find-links", self.wheels, *arguments)


def uv(*arguments: str | Path) -> None:
    """Run uv. Fail if uv fails."""
    done = subprocess.run(
        [Path(sys.executable).parent / "uv", *arguments],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without variables of the checkout and its virtual environment."""
    clean = clean_environment(more)
    clean.pop("PYTHONPATH", None)
    clean.pop("VIRTUAL_ENV", None)
    clean["PATH"] = os.environ["PATH"]
    return clean
