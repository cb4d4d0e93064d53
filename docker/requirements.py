"""Pin what the image and the release install from an index, with hashes.

    python docker/requirements.py             write the files (needs uv); keep pins that still fit
    python docker/requirements.py --upgrade   write the newest versions
    python docker/requirements.py --check     fail if a pin is missing or not within its range

`requirements.txt` has what our packages need at run time, `build-requirements.txt` what builds
them, `release-requirements.txt` the group `dist`, which builds and tests a release. Our own
packages are left out, because the image installs them from source.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("corvo-schema", "corvo-server", "corvo-client", "corvo-cli")
EXTRAS = ("postgres",)
"""Extras that the image installs, if a package defines them."""
_PIN = re.compile(
    r"^([\w.-]+)==(\S+)(?: ;[^\n\\]*)?(?: \\\n    --hash=sha256:\w{64})+$", re.MULTILINE
)


def of_packages(*, build: bool) -> Iterator[str]:
    """Yield the requirements of our packages on packages of others, to run or to build them."""
    for package in PACKAGES:
        text = (ROOT / "packages" / package / "pyproject.toml").read_text(encoding="utf-8")
        read = tomllib.loads(text)
        extras = read["project"].get("optional-dependencies", {})
        lines = [
            *read["project"].get("dependencies", ()),
            *(line for extra in EXTRAS for line in extras.get(extra, ())),
        ]
        for line in read["build-system"]["requires"] if build else lines:
            if canonicalize_name(Requirement(line).name) not in PACKAGES:
                yield line


def of_release() -> Iterator[str]:
    """Yield the requirements of what builds and tests a release."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    yield from read["dependency-groups"]["dist"]


FILES: dict[str, Callable[[], Iterator[str]]] = {
    "requirements.txt": partial(of_packages, build=False),
    "build-requirements.txt": partial(of_packages, build=True),
    "release-requirements.txt": of_release,
}
"""The files, and the requirements that each pins."""


def write(name: str, *options: str) -> None:
    """Write one file with uv."""
    subprocess.run(  # noqa: S603 - the options are those of `main`
        [
            *("uv", "pip", "compile", "-", "--quiet", "--generate-hashes", "--universal"),
            *("--python-version", "3.11", "--no-header", "--no-annotate", "--no-emit-index-url"),
            *("--output-file", str(ROOT / "docker" / name), *options),
        ],
        input="\n".join(FILES[name]()),
        stdout=subprocess.DEVNULL,
        check=True,
        text=True,
    )


def faults(text: str, wanted: Iterator[str]) -> Iterator[str]:
    """Yield what is wrong with the text of a file that must pin what is `wanted`."""
    pins: dict[str, list[str]] = {}
    for pin in _PIN.finditer(text):
        pins.setdefault(canonicalize_name(pin[1]), []).append(pin[2])
    if rest := _PIN.sub("", text).strip():
        yield f"this is no pin with hashes: {rest.splitlines()[0]}"
    for line in wanted:
        need = Requirement(line)
        found = pins.get(canonicalize_name(need.name), [])
        if not found:
            yield f"nothing pins {line}"
        for version in found:
            if version not in need.specifier:
                yield f"{need.name} {version} is not within {line}"


def main(arguments: list[str]) -> int:
    """Write or check all files; return the exit code."""
    if arguments not in ([], ["--upgrade"], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    found = []
    for name, wanted in FILES.items():
        if arguments != ["--check"]:
            write(name, *arguments)
        text = (ROOT / "docker" / name).read_text(encoding="utf-8")
        found += [f"docker/{name}: {fault}" for fault in faults(text, wanted())]
    if found:
        print("\n".join(found), "run: python docker/requirements.py", sep="\n", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
