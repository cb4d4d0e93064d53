"""Prints what packages require of others, one requirement a line: `requirements.py DIR...`.

Each DIR is a package with its `pyproject.toml`. What they require of each other is left out: their
sources are at hand. Standard library only: it runs before anything is installed.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

EXTRAS = ("postgres",)
"""Optional parts of a package that the image has, if the package has them."""


def requirements(directories: list[Path]) -> Iterator[str]:
    """The requirements of all, of packages that are not among them."""
    projects = [
        tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for directory in directories
    ]
    ours = {project["name"] for project in projects}
    for project in projects:
        extras = project.get("optional-dependencies", {})
        for requirement in [
            *project.get("dependencies", ()),
            *(line for extra in EXTRAS for line in extras.get(extra, ())),
        ]:
            if re.split(r"[^\w.-]", requirement, maxsplit=1)[0] not in ours:
                yield requirement


if __name__ == "__main__":
    print("\n".join(requirements([Path(name) for name in sys.argv[1:]])))
