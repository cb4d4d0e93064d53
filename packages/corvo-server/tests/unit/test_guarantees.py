"""Every test named in docs/guarantees.md and docs/threat-model.md exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
DOCS = ROOT / "docs"
PAGES = ["guarantees.md", "threat-model.md"]


pytestmark = pytest.mark.skipif(
    not DOCS.exists(), reason="the documentation is not part of the package"
)


@pytest.mark.parametrize("page", PAGES)
def test_page_names_tests_that_exist(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / page).read_text(encoding="utf-8")))
    assert named
    sources = [*ROOT.glob("packages/*/tests/**/test_*.py"), *ROOT.glob("tests/**/test_*.py")]
    defined = {
        name
        for source in sources
        for name in re.findall(r"def (test_\w+)", source.read_text(encoding="utf-8"))
    }
    assert named - defined == set()


def test_every_protection_in_the_threat_model_names_a_test() -> None:
    protections = 0
    for table in re.findall(
        r"^\| protection \| tests \|\n\|---\|---\|\n((?:\|.*\|\n)+)",
        (DOCS / "threat-model.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    ):
        for row in table.splitlines():
            tests = row.rstrip(" |").rpartition(" | ")[2]
            assert re.fullmatch(r"`test_\w+`(, `test_\w+`)*", tests), row
            protections += 1
    assert protections > 20
