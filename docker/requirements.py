"""Print the third-party requirements of packages, one on each line: `requirements.py DIR...`.

Each DIR contains a `pyproject.toml`. Requirements of one given package on another are left out,
because the image installs those from source. The script uses only the standard library, because it
runs before any package is installed.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

EXTRAS = ("postgres",)
"""Extras that the image installs, if a package defines them."""


def requirements(directories: list[Path]) -> Iterator[str]:
    """Yield the requirements of all packages in `directories` on other packages."""
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
