"""The content of wheels and sdists, and reproducible builds."""

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
    """Return the files in `src` that git tracks or would add."""
    if not (root / ".git").exists():
        pytest.skip("not a git checkout, so the list of sources is unknown")
    home = root / "packages" / package
    # In a container, the checkout may belong to another user.
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


def test_the_server_wheel_has_statements_migrations_and_grammar(built: Path) -> None:
    files = wheel_of("corvo-server", built).files
    assert "corvo_server/store/sqlite/migrations/0001_initial.sql" in files
    assert "corvo_server/store/sqlite/sql/jobs.sql" in files
    assert "corvo_server/store/search/jq.lark" in files


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_supports_every_python_of_its_metadata(package: str, built: Path) -> None:
    wheel = wheel_of(package, built)
    assert wheel.path.name.endswith("-py3-none-any.whl")
    assert wheel.metadata["Requires-Python"] == ">=3.11"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_description_has_no_relative_links(package: str, built: Path) -> None:
    wheel = wheel_of(package, built)
    assert wheel.metadata["Description-Content-Type"] == "text/markdown"
    text = str(wheel.metadata.get_payload())
    assert text.startswith(f"# {package}\n")
    # Links that are relative to the repository do not work on the package index.
    assert "](../" not in text
    assert "](docs" not in text


@pytest.mark.parametrize("package", PACKAGES)
def test_an_sdist_can_be_built_and_tested(package: str, built: Path, root: Path) -> None:
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
    """Build with another umask and another time zone."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", into, *options],
        cwd=directory,
        env={**os.environ, "TZ": "Pacific/Kiritimati"},
        umask=0o077,
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_a_build_in_another_directory_is_identical(
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
def test_a_wheel_built_from_the_sdist_is_identical(
    package: str, built: Path, tmp_path: Path
) -> None:
    top = unpacked(sdist_of(package, built), tmp_path / "sdist")
    build(top, tmp_path / "again", "--target", "wheel")
    wheel = wheel_of(package, built).path
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()
