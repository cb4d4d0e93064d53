"""Fixtures for the tests of releases: the repository, and the packages of `nox -s dist`."""

import os
from pathlib import Path

import pytest

from release.environments import Environments

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def built() -> Path:
    """The directory with the wheels and sdists of all packages."""
    directory = os.environ.get("CORVO_DIST")
    if directory is None:
        pytest.skip("CORVO_DIST is not set to a directory of wheels: run nox -s dist")
    return Path(directory)


@pytest.fixture(scope="session")
def environments(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environments:
    """A factory of environments with the built wheels."""
    return Environments(built, tmp_path_factory.mktemp("environments"))
