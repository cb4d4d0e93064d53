"""The generated parts of the documentation are up to date."""

import subprocess
import sys
from pathlib import Path


def test_generated_parts_are_up_to_date(root: Path) -> None:
    script = root / "scripts" / "gen_docs.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
