"""The line of the README that installs from a checkout."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from release.wheels import PACKAGES
from server_support.process import clean_environment

_LINE = re.compile(r"^(python3 -m venv .*)$", re.MULTILINE)


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info", "dist")
    shutil.copytree(root / "packages", tmp_path / "packages", ignore=left_out)
    return tmp_path


def test_the_line_installs_all_packages(root: Path, checkout: Path) -> None:
    (line,) = _LINE.findall((root / "README.md").read_text(encoding="utf-8"))
    command = ["bash", "-euo", "pipefail", "-c"]
    code = f"{line}\ncorvo --version\ncorvo-server --version\npip list --format freeze"
    done = subprocess.run(
        [*command, code],
        cwd=checkout,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    installed = {row.partition("==")[0].partition(" @")[0] for row in done.stdout.splitlines()}
    assert set(PACKAGES) <= installed
