"""What these tests share: the site that `nox -s docs` has built."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def site() -> Path:
    """The directory of the site."""
    directory = os.environ.get("CORVO_SITE")
    if directory is None:
        pytest.skip("CORVO_SITE does not name the directory of a site; `nox -s docs` makes one")
    return Path(directory)
