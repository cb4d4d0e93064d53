"""What the tests of releases share: the tree, and what `nox -s dist` has built of it."""

import os
from pathlib import Path

import pytest

from release.environments import Environments

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def built() -> Path:
    """The directory with the wheels and sdists of all packages."""
    directory = os.environ.get("CORVO_DIST")
    if directory is None:
        pytest.skip("CORVO_DIST does not name a directory of wheels; `nox -s dist` makes one")
    return Path(directory)


@pytest.fixture(scope="session")
def environments(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environments:
    """Makes environments with the wheels in them."""
    return Environments(built, tmp_path_factory.mktemp("environments"))
