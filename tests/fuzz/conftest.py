"""The options of the fuzzers."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cases",
        type=int,
        default=3,
        help="requests made up for each endpoint, in each phase and for each key (default: 3)",
    )
    parser.addoption(
        "--seconds",
        type=int,
        default=1,
        help="how long each parser is fuzzed (default: 1)",
    )
    parser.addoption(
        "--corpus",
        type=Path,
        default=None,
        help="folder that keeps the inputs which the parsers are fuzzed with (default: none)",
    )
