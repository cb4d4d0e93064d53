"""The pins of the image are up to date, and the check finds what is wrong with pins."""

import subprocess
import sys
from collections.abc import Iterable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

HASH = "    --hash=sha256:" + "a" * 64
GOOD = f"rich==15.0.0 \\\n{HASH} \\\n{HASH}\n"


@pytest.fixture
def script(root: Path) -> Any:
    spec = spec_from_file_location("requirements", root / "docker/requirements.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pins_are_up_to_date(root: Path) -> None:
    command = [sys.executable, root / "docker/requirements.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["requirements.txt", "build-requirements.txt", "release-requirements.txt"]
)
def test_pins_name_no_index(root: Path, name: str) -> None:
    assert "://" not in (root / "docker" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "wanted", "faults"),
    [
        (GOOD, ["rich>=14"], []),
        (GOOD, ["Rich>=14"], []),
        (GOOD, ["rich>=16"], ["rich 15.0.0 is not within rich>=16"]),
        (GOOD, ["rich>=14", "click>=8"], ["nothing pins click>=8"]),
        ("rich==15.0.0\n", [], ["this is no pin with hashes: rich==15.0.0"]),
        ("-i https://example.org\n" + GOOD, [], ["this is no pin with hashes: -i https://example.org"]),
    ],
)  # fmt: skip
def test_wrong_pins_are_found(
    script: Any, text: str, wanted: Iterable[str], faults: list[str]
) -> None:
    assert list(script.faults(text, iter(wanted))) == faults
