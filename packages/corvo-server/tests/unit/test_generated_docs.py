"""The generated parts of the documentation are up to date."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[4] / "scripts" / "gen_docs.py"


@pytest.mark.skipif(not SCRIPT.exists(), reason="the documentation is not part of the package")
def test_generated_parts_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
