"""Every test named in docs/guarantees.md exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "guarantees.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not part of the package")
def test_guarantees_name_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    assert named
    sources = [*ROOT.glob("packages/*/tests/**/test_*.py"), *ROOT.glob("tests/**/test_*.py")]
    defined = {
        name
        for source in sources
        for name in re.findall(r"def (test_\w+)", source.read_text(encoding="utf-8"))
    }
    assert named - defined == set()
