"""The options of the soak."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes",
        type=float,
        default=1.0,
        help="how long the soak lasts; from 10 minutes on, growth fails it (default: 1)",
    )
    parser.addoption(
        "--curves",
        type=Path,
        default=None,
        help="folder for the measured curves (default: a temporary one)",
    )


@pytest.fixture
def minutes(request: pytest.FixtureRequest) -> float:
    """How long the soak lasts."""
    length: float = request.config.getoption("minutes")
    return length


@pytest.fixture
def curves(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder for the measured curves."""
    folder: Path = request.config.getoption("curves") or tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return folder
