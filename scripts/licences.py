"""Check the licences of the packages in a directory: fail if one is not on the list.

    python scripts/licences.py DIRECTORY

Reads the metadata of each package: its licence expression, else its classifiers, else its field
`License`. Runs nothing of the packages. Prints one line for each package.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

ALLOWED = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0"),
        *("PSF-2.0", "Python-2.0", "TCL", "Unlicense", "Zlib"),
        # Of each file alone: it asks nothing of programs that only use the package.
        "MPL-2.0",
        # The image has these packages unchanged and as separate files, which anyone can replace.
        *("LGPL-3.0-only", "LGPL-3.0-or-later"),
    }
)
"""Licences that allow the image and the packages to be given away under the MIT licence."""
SYNONYMS = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""Other names, as classifiers and old metadata have them."""

_TOKEN = re.compile(r"\(|\)|[^\s()]+")
_CLASSIFIER = "License :: OSI Approved :: "


def licence_of(package: Distribution) -> str | None:
    """Return the licence of a package as an SPDX expression, or as the text that it gives."""
    for expression in _lines(package, "License-Expression"):
        return expression
    classified = [
        line.removeprefix(_CLASSIFIER)
        for line in _lines(package, "Classifier")
        if line.startswith(_CLASSIFIER)
    ]
    texts = classified or [line.strip() for line in _lines(package, "License")]
    return " OR ".join(SYNONYMS.get(text, text) for text in texts) or None


def _lines(package: Distribution, field: str) -> list[str]:
    return [str(line) for line in package.metadata.get_all(field, [])]


def is_allowed(expression: str) -> bool:
    """Return whether `ALLOWED` satisfies an SPDX expression. AND binds more strongly than OR."""
    tokens = _TOKEN.findall(expression)
    try:
        return _any(tokens) and not tokens
    except IndexError:
        return False


def _any(tokens: list[str]) -> bool:
    allowed = _all(tokens)
    while tokens and tokens[0] == "OR":
        del tokens[0]
        allowed |= _all(tokens)
    return allowed


def _all(tokens: list[str]) -> bool:
    allowed = _one(tokens)
    while tokens and tokens[0] == "AND":
        del tokens[0]
        allowed &= _one(tokens)
    return allowed


def _one(tokens: list[str]) -> bool:
    token = tokens.pop(0)
    if token == "(":  # noqa: S105 - a parenthesis
        allowed = _any(tokens)
        return tokens.pop(0) == ")" and allowed
    return token in ALLOWED


def faults(packages: dict[str, str | None]) -> Iterator[str]:
    """Yield a sentence for each package, by name, whose licence is unknown or not allowed."""
    if not packages:
        yield "there are no packages in this directory"
    for name, licence in sorted(packages.items()):
        if licence is None:
            yield f"{name} names no licence"
        elif not is_allowed(licence):
            yield f"{name} has the licence {licence.splitlines()[0]!r}, which is not on the list"


def main(arguments: list[str]) -> int:
    """Check the packages of a directory; return the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    packages = {item.name: licence_of(item) for item in distributions(path=arguments)}
    for name, licence in sorted(packages.items()):
        print(f"{name}: {(licence or 'unknown').splitlines()[0]}")
    found = list(faults(packages))
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
