"""The tokens of a JSON text, which must be valid."""

import json
import re

TOKEN = re.compile(
    r'[ \t\r\n]*+("[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]++)', re.DOTALL
)
"""One token, in group 1: a string, a punctuation mark, a number or a word."""


def read_string(token: str) -> str:
    """Return the value of a token that is a string."""
    if "\\" not in token:
        return token[1:-1]
    text: str = json.loads(token)
    return text
