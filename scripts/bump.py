"""Prepare the release of one package: set its version, its changelog and the floors of dependents.

    python scripts/bump.py corvo-server minor
    python scripts/bump.py corvo-server first     the first release, with the present version

The script commits nothing. It prints the tag to create after you have committed the changes. It
writes nothing if the tree has uncommitted changes or if versions in the tree contradict each other.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).parent.parent
PACKAGES = ("corvo-schema", "corvo-server", "corvo-client", "corvo-cli")
PARTS = ("patch", "minor", "major", "first")

_VERSION = re.compile(r'^__version__ = "([^"]*)"$', re.MULTILINE)
_RELEASE = re.compile(r"^## (\d+\.\d+\.\d+)\b", re.MULTILINE)
_UNRELEASED = re.compile(r"^## Unreleased$\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_CHART = re.compile(r"^(version|appVersion): .*$", re.MULTILINE)
_RANGE = re.compile(r'"(?P<name>corvo-[a-z]+)(?P<extras>\[[^\]]*\])?(?P<range>[^"]*)"')


class Refused(Exception):
    """Raised when the tree is not ready for the release. The message says what to do."""


class Version(NamedTuple):
    """A version of a package: three numbers."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """Parse a version like `1.2.3`. Raises `Refused`, with `where` in its message."""
        if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", text):
            raise Refused(f"{where}: {text!r} is not a version like 1.2.3.")
        return cls(*map(int, text.split(".")))

    def after(self, part: str) -> "Version":
        """Return the next version after a `major`, `minor` or `patch` release."""
        match part:
            case "major":
                return Version(self.major + 1, 0, 0)
            case "minor":
                return Version(self.major, self.minor + 1, 0)
            case _:
                return Version(self.major, self.minor, self.patch + 1)

    def as_range(self) -> str:
        """Return the range for dependents: from this version up to the next major version."""
        floor = str(self) if self.patch else f"{self.major}.{self.minor}"
        return f">={floor},<{self.major + 1}"

    def __str__(self) -> str:
        return ".".join(map(str, self))


class Bump(NamedTuple):
    """The changes of a release, not written yet."""

    before: Version
    after: Version
    tag: str
    files: dict[Path, str]
    """The new text of each file that changes."""


def plan(root: Path, package: str, part: str, today: date) -> Bump:
    """Return the changes of a release. Writes nothing. Raises `Refused`."""
    versions = {name: version_of(root, name) for name in PACKAGES}
    for name in PACKAGES:
        _check(root, name, versions)
    before = versions[package]
    is_released = _RELEASE.search(_changelog(root, package)) is not None
    if is_released and part == "first":
        raise Refused(f"{package} was released before: use patch, minor or major, not first.")
    if not is_released and part != "first":
        raise Refused(f"{package} {before} was never released: use first, not {part}.")
    after = before if part == "first" else before.after(part)
    files = {
        _about(root, package): _with_version(root, package, after),
        root / "packages" / package / "CHANGELOG.md": _with_heading(root, package, after, today),
    }
    if package == "corvo-server":
        files[_chart(root)] = _with_image(root, after)
    if part in {"minor", "major"}:
        for name in PACKAGES:
            files |= _with_floor(root, name, package, after)
    return Bump(before, after, f"{package}-v{after}", files)


def version_of(root: Path, package: str) -> Version:
    """Return the version of a package in the tree. Raises `Refused` if it has none."""
    about = _about(root, package)
    found = _VERSION.search(about.read_text(encoding="utf-8"))
    if found is None:
        raise Refused(f'{about.relative_to(root)} has no line `__version__ = "1.2.3"`.')
    return Version.parse(found[1], str(about.relative_to(root)))


def main(arguments: list[str]) -> int:
    """Write the changes of a release into the tree. Return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("package", choices=PACKAGES)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument(
        "--date", type=date.fromisoformat, help="date of the release (default: today, in UTC)"
    )
    options = parser.parse_args(arguments)
    try:
        _refuse_changes(ROOT)
        today = options.date or datetime.now(UTC).date()
        bump = plan(ROOT, options.package, options.part, today)
        _refuse_tag(ROOT, bump.tag)
    except Refused as refused:
        print(f"bump.py: {refused} Nothing was written.", file=sys.stderr)
        return 1
    for path, text in bump.files.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)
    print(
        f"{options.package} {bump.after}: commit the changes, then create this tag:",
        file=sys.stderr,
    )
    print(bump.tag)
    return 0


def _about(root: Path, package: str) -> Path:
    return root / "packages" / package / "src" / package.replace("-", "_") / "__about__.py"


def _changelog(root: Path, package: str) -> str:
    return (root / "packages" / package / "CHANGELOG.md").read_text(encoding="utf-8")


def _project(root: Path, package: str) -> Path:
    return root / "packages" / package / "pyproject.toml"


def _chart(root: Path) -> Path:
    return root / "deploy/helm/corvo/Chart.yaml"


def _with_image(root: Path, version: Version) -> str:
    """Return the metadata of the Helm chart, which has the version of the server."""
    text = _chart(root).read_text(encoding="utf-8")
    # Quoted, because YAML reads an unquoted version like 1.10 as the number 1.1.
    return _CHART.sub(rf'\1: "{version}"', text)


def _with_version(root: Path, package: str, version: Version) -> str:
    text = _about(root, package).read_text(encoding="utf-8")
    return _VERSION.sub(f'__version__ = "{version}"', text)


def _with_heading(root: Path, package: str, version: Version, today: date) -> str:
    text = _changelog(root, package)
    unreleased = _UNRELEASED.search(text)
    if unreleased is None:
        raise Refused(f"The changelog of {package} has no heading `## Unreleased`.")
    if not unreleased[1].strip():
        raise Refused(
            f"The changelog of {package} has nothing under Unreleased: describe the changes."
        )
    heading = f"## Unreleased\n\n## {version} - {today.isoformat()}\n"
    return text[: unreleased.start()] + heading + unreleased[1] + text[unreleased.end() :]


def _with_floor(root: Path, name: str, package: str, version: Version) -> dict[Path, str]:
    """Return the project file of `name` with its new range of `package`; empty if unchanged."""
    path = _project(root, name)
    before = path.read_text(encoding="utf-8")
    after = _RANGE.sub(
        lambda found: (
            f'"{package}{found["extras"] or ""}{version.as_range()}"'
            if found["name"] == package and found["range"]
            else found[0]
        ),
        before,
    )
    return {} if after == before else {path: after}


def _check(root: Path, name: str, versions: dict[str, Version]) -> None:
    """Raise `Refused` if a package contradicts its changelog or the versions of the others."""
    latest = _RELEASE.search(_changelog(root, name))
    if latest is not None and latest[1] != str(versions[name]):
        raise Refused(
            f"{name} is at {versions[name]}, "
            f"but the latest release in its changelog is {latest[1]}."
        )
    for requirement in _requirements(root, name):
        found = _RANGE.fullmatch(f'"{requirement}"')
        if found is None or found["name"] not in versions:
            continue
        bounds = re.fullmatch(r">=(\d+)\.(\d+)(?:\.(\d+))?,<(\d+)", found["range"])
        if bounds is None:
            raise Refused(f"{name} requires {requirement!r}; expected a range like >=1.2,<2.")
        major, minor, patch, ceiling = (int(number or 0) for number in bounds.groups())
        version = versions[found["name"]]
        if version < (major, minor, patch) or version.major >= ceiling:
            raise Refused(f"{name} requires {requirement!r}, but {found['name']} is at {version}.")


def _requirements(root: Path, name: str) -> Iterator[str]:
    project: dict[str, Any] = tomllib.loads(_project(root, name).read_text(encoding="utf-8"))
    yield from project["project"].get("dependencies", ())
    for extra in project["project"].get("optional-dependencies", {}).values():
        yield from extra


def _refuse_changes(root: Path) -> None:
    changes = _git(root, "status", "--porcelain")
    if changes:
        raise Refused(f"There are uncommitted changes:\n{changes}\nCommit or stash them first.")


def _refuse_tag(root: Path, tag: str) -> None:
    if _git(root, "tag", "--list", tag):
        raise Refused(f"The tag {tag} exists already. Check the version in __about__.py.")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise Refused(f"`git {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout.rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
