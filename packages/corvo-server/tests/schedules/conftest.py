"""Fixtures for the tests of schedules."""

import pytest

from server_support.bench import Bench
from server_support.calendar import Calendar


@pytest.fixture
def calendar(bench: Bench) -> Calendar:
    """The schedules of `bench`."""
    return Calendar(bench)
