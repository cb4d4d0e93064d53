"""Split and indent JSON text without changing a token.

Parsing and serializing again could change the order of members, the notation of numbers and the
escapes in strings. All functions expect valid JSON. None of them recurses, so the nesting depth of
a document is not limited.
"""

import json
import re
from collections.abc import Iterator

_PIECE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_LINE_BREAKS = str.maketrans("\r\n", "  ")
_STEP = "  "


def one_line(text: str) -> str:
    """Return the text without line breaks. Strings in JSON contain none, so no value changes."""
    return text.translate(_LINE_BREAKS).strip()


def items(text: str) -> list[str]:
    """Return the JSON text of each element of an array, each on one line."""
    return [one_line(text[start:end]) for _, start, end in _children(text)]


def members(text: str) -> dict[str, str]:
    """Return the JSON text of each value of an object by name, each on one line."""
    return {name: one_line(text[start:end]) for name, start, end in _children(text)}


def indented(text: str) -> str:
    """Return the text with each element and member on a line of its own."""
    pieces: list[str] = []
    depth = 0
    before = ""
    for match in _PIECE.finditer(text):
        piece = match[0]
        if piece in {"}", "]"}:
            depth -= 1
            if before not in {"{", "["}:
                pieces.append("\n" + _STEP * depth)
        elif before in {"{", "[", ","}:
            pieces.append("\n" + _STEP * depth)
        pieces.append(": " if piece == ":" else piece)
        if piece in {"{", "["}:
            depth += 1
        before = piece
    return "".join(pieces)


def _children(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end of each child of the outermost array or object."""
    depth = 0
    name = ""
    start = end = -1
    for match in _PIECE.finditer(text):
        piece = match[0]
        if depth == 1 and piece == ":":
            name, start = json.loads(text[start:end]), -1
            continue
        if depth == 1 and piece in {",", "}", "]"}:
            if start >= 0:
                yield name, start, end
            start = -1
        elif depth >= 1:
            start = match.start() if start < 0 else start
            end = match.end()
        if piece in {"{", "["}:
            depth += 1
        elif piece in {"}", "]"}:
            depth -= 1
