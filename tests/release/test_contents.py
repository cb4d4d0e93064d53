"""What is in the wheels and sdists, and that others can build the same."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from release.wheels import PACKAGES, sdist_of, unpacked, wheel_of


def sources_of(package: str, root: Path) -> set[str]:
    """The files below `src` that are under version control, or will be."""
    if not (root / ".git").exists():
        pytest.skip("not a checkout of git, which knows what belongs to the sources")
    home = root / "packages" / package
    # The checkout may be another user's, as in a container.
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others"]
    command += ["--exclude-standard", "src"]
    done = subprocess.run(command, cwd=home, check=True, capture_output=True, text=True)
    return {name.removeprefix("src/") for name in done.stdout.split() if (home / name).exists()}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_has_all_sources_and_nothing_else(package: str, built: Path, root: Path) -> None:
    wheel = wheel_of(package, built)
    code = {name for name in wheel.files if ".dist-info/" not in name}
    assert code == sources_of(package, root)
    assert f"{package.replace('-', '_')}/py.typed" in code
    assert not any(
        "test" in part and part != "testing" for name in code for part in name.split("/")[:-1]
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_has_its_licence(package: str, built: Path, root: Path) -> None:
    wheel = wheel_of(package, built)
    (name,) = (name for name in wheel.files if name.endswith("/licenses/LICENSE"))
    with zipfile.ZipFile(wheel.path) as archive:
        assert archive.read(name) == (root / "LICENSE").read_bytes()
    assert wheel.metadata["License-Expression"] == "MIT"


def test_the_server_brings_its_statements_migrations_and_grammar(built: Path) -> None:
    files = wheel_of("corvo-server", built).files
    assert "corvo_server/store/sqlite/migrations/0001_initial.sql" in files
    assert "corvo_server/store/sqlite/sql/jobs.sql" in files
    assert "corvo_server/store/search/jq.lark" in files


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_runs_on_every_python_that_it_says(package: str, built: Path) -> None:
    wheel = wheel_of(package, built)
    assert wheel.path.name.endswith("-py3-none-any.whl")
    assert wheel.metadata["Requires-Python"] == ">=3.11"


@pytest.mark.parametrize("package", PACKAGES)
def test_what_the_index_will_show_leads_somewhere(package: str, built: Path) -> None:
    wheel = wheel_of(package, built)
    assert wheel.metadata["Description-Content-Type"] == "text/markdown"
    text = str(wheel.metadata.get_payload())
    assert text.startswith(f"# {package}\n")
    # A link that is relative to the repository leads nowhere from there.
    assert "](../" not in text
    assert "](docs" not in text


@pytest.mark.parametrize("package", PACKAGES)
def test_an_sdist_has_what_it_takes_to_build_and_test(
    package: str, built: Path, root: Path
) -> None:
    with tarfile.open(sdist_of(package, built)) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    module = package.replace("-", "_")
    assert {f"src/{name}" for name in sources_of(package, root)} <= inside
    top = {name.partition("/")[0] for name in inside}
    assert top - {".gitignore"} == {
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "src",
        "tests",
    }
    assert {name for name in inside if name.startswith("src/")} == {
        name for name in inside if name.startswith(f"src/{module}/")
    }
    assert not any(name.endswith((".pyc", ".db", ".log")) for name in inside)


def build(directory: Path, into: Path, *options: str) -> None:
    """Build as in a shell that hides all from others, in another time zone."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", into, *options],
        cwd=directory,
        env={**os.environ, "TZ": "Pacific/Kiritimati"},
        umask=0o077,
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_the_same_is_built_from_a_copy_elsewhere(
    package: str, built: Path, root: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        root / "packages" / package, copy, ignore=ignored, copy_function=shutil.copyfile
    )
    shutil.copyfile(root / ".gitignore", copy / ".gitignore")
    build(copy, tmp_path / "again")
    for path in (wheel_of(package, built).path, sdist_of(package, built)):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("package", PACKAGES)
def test_the_same_wheel_is_built_from_the_sdist(package: str, built: Path, tmp_path: Path) -> None:
    top = unpacked(sdist_of(package, built), tmp_path / "sdist")
    build(top, tmp_path / "again", "--target", "wheel")
    wheel = wheel_of(package, built).path
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()
