"""Keys in texts for logs and errors."""

import re

_KEY = re.compile("(corvo_[0-9A-Za-z]{12})_[0-9A-Za-z_]+")


def mask_keys(text: str) -> str:
    """Return `text` with the secrets of all API keys in it replaced."""
    return _KEY.sub(r"\1_…", text)
