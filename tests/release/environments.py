"""Virtual environments with nothing in them but what was asked for."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from server_support.process import clean_environment

_LISTED = """
import importlib.metadata, json, re
names = (found.metadata["Name"] for found in importlib.metadata.distributions())
print(json.dumps([re.sub("[-_.]+", "-", name).lower() for name in names]))
"""


class Done(NamedTuple):
    """How a program has ended."""

    code: int
    out: str
    err: str


class Environment:
    """One of them. Nothing of the checkout can be imported in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._scripts = path / ("Scripts" if sys.platform == "win32" else "bin")

    def program(self, name: str) -> Path:
        """The path of a program in it."""
        return self._scripts / name

    def run(self, name: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Done:
        """Run one of its programs, in its own directory, to the end."""
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
        """What a piece of Python prints. Fails when it fails."""
        done = self.run("python", "-I", "-c", code)
        assert done.code == 0, done.err
        return done.out

    def distributions(self) -> set[str]:
        """The names of all that is installed, normalised."""
        names: list[str] = json.loads(self.python(_LISTED))
        return set(names)


class Environments:
    """Makes environments, each once."""

    def __init__(self, wheels: Path, home: Path) -> None:
        self.wheels = wheels
        self._home = home
        self._made: dict[tuple[str, ...], Environment] = {}

    def with_(self, *requirements: str) -> Environment:
        """The environment in which one command has installed all of them."""
        if requirements not in self._made:
            path = self._home / str(len(self._made))
            uv("venv", "--quiet", "--python", sys.executable, path)
            self._install("--python", path, *requirements)
            self._made[requirements] = Environment(path)
        return self._made[requirements]

    def resolve(self, *requirements: str) -> None:
        """Fail unless there is a set of versions that suits all of them."""
        path = self._home / "resolved"
        if not path.exists():
            uv("venv", "--quiet", "--python", sys.executable, path)
        self._install("--dry-run", "--python", path, *requirements)

    def _install(self, *arguments: str | Path) -> None:
        # Ours come from the directory and from nowhere else: the index may have others by the name.
        uv("pip", "install", "--quiet", "--find-links", self.wheels, *arguments)


def uv(*arguments: str | Path) -> None:
    """Run uv. Fails when it fails."""
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
    """Of the tests', what a stranger's shell has, too."""
    clean = clean_environment(more)
    clean.pop("PYTHONPATH", None)
    clean.pop("VIRTUAL_ENV", None)
    clean["PATH"] = os.environ["PATH"]
    return clean
