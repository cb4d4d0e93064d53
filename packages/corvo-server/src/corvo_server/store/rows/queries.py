"""Named SQL: statements live in `.sql` files, each under a line `-- name: the_name`."""

import re
from functools import cache
from importlib.resources import files
from types import SimpleNamespace

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load_queries(package: str) -> SimpleNamespace:
    """All statements of the `.sql` files in `package`, as attributes by their name.

    A name that stands twice raises `ValueError`; one that is missing, `AttributeError` at its use.
    """
    statements: dict[str, str] = {}
    for file in sorted(files(package).iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
        for name, statement in zip(parts[::2], parts[1::2], strict=True):
            if name in statements:
                raise ValueError(f"{package}/{file.name}: the statement {name!r} stands twice")
            statements[name] = statement.strip().removesuffix(";")
    return SimpleNamespace(**statements)
