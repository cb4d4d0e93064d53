"""Fixtures: the repository, and the site that `nox -s docs` has built."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root directory of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the directory of the site; skip the test if no site was built."""
    directory = os.environ.get("CORVO_SITE")
    if directory is None:
        pytest.skip("CORVO_SITE is not set to the directory of a site; run `nox -s docs`")
    return Path(directory)
