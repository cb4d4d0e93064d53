"""JSON as text: taken apart and laid out without touching a single token.

What a server sends is passed on as it is: order of members, notation of numbers, escapes in
strings. Parsing and writing it anew would keep none of the three for certain. All functions expect
valid JSON, and none of them recurses: documents may be nested as deep as they like.
"""

import json
import re
from collections.abc import Iterator

_PIECE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_LINE_BREAKS = str.maketrans("\r\n", "  ")
_STEP = "  "


def one_line(text: str) -> str:
    """Return the text without line breaks; within strings, JSON has none."""
    return text.translate(_LINE_BREAKS).strip()


def items(text: str) -> list[str]:
    """Return the texts of an array's elements, each on one line."""
    return [one_line(text[start:end]) for _, start, end in _children(text)]


def members(text: str) -> dict[str, str]:
    """Return the texts of an object's values by name, each on one line."""
    return {name: one_line(text[start:end]) for name, start, end in _children(text)}


def indented(text: str) -> str:
    """Lay a document out for reading: a line for each element and member."""
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
    """Yield name, start and end of what the outermost array or object holds."""
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
