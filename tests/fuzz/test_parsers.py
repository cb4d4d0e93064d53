"""No text of a stranger breaks a parser. `TARGETS` has what holds for each."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.parsers.targets import TARGETS
from server_support.process import clean_environment

ROOT = Path(__file__).parents[2]
PATHS = (ROOT / "tests", ROOT / "packages/corvo-server/tests/support")
STARTS_WITHIN = 120
"""Seconds for the start on a busy machine: the fuzzer rewrites all that it imports."""


@pytest.mark.parametrize("name", TARGETS)
def test_the_law_holds_for_the_seeds(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].check(seed)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_the_law_holds_for_changed_seeds(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(TARGETS[name].seeds))
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, len(seed)))
    TARGETS[name].check(seed[:start] + data.draw(st.binary(max_size=8)) + seed[end:])


@pytest.mark.skipif(find_spec("atheris") is None, reason="nox -s fuzz installs atheris")
@pytest.mark.parametrize("name", TARGETS)
def test_the_fuzzer_finds_no_violation(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    seconds: int = request.config.getoption("seconds")
    corpus: Path = request.config.getoption("corpus") or tmp_path
    run = subprocess.run(
        [
            *(sys.executable, "-m", "fuzz.parsers", name),
            *("--seconds", str(seconds), "--corpus", corpus.resolve()),
        ],
        cwd=tmp_path,
        env=clean_environment({"PYTHONPATH": ":".join(map(str, PATHS))}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds + STARTS_WITHIN,
        check=False,
    )
    figures = [line for line in run.stdout.splitlines() if line.startswith("stat::number_of_exec")]
    print(name, *figures)
    assert run.returncode == 0, run.stdout[-4000:]
    assert figures
