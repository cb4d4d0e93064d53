"""The glossary defines words that the project uses, in alphabetical order."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
TERMS = re.findall(r"^\*\*(.+?)\.\*\*", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)

_SEARCHED = ("docs/**/*.md", "packages/*/src/**/*.py", "tests/support/**/*.py")


@pytest.fixture(scope="module")
def other_text() -> str:
    """Return the text of docs and code without the glossary, in lower case."""
    paths = (path for pattern in _SEARCHED for path in ROOT.glob(pattern) if path != GLOSSARY)
    return "\n".join(path.read_text(encoding="utf-8").lower() for path in paths)


def test_the_glossary_has_terms() -> None:
    assert {"Job", "Lease token", "Engine (layer)"} <= set(TERMS)


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_used_outside_the_glossary(term: str, other_text: str) -> None:
    words = term.partition(" (")[0].lower().split()
    spelling = "[ _-]?".join(map(re.escape, words))  # names in code join the words
    assert re.search(rf"\b{spelling}s?\b", other_text)


def test_terms_are_defined_once_and_in_alphabetical_order() -> None:
    assert sorted(set(TERMS), key=str.lower) == TERMS
