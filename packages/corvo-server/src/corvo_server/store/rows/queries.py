"""Named SQL statements from `.sql` files. A line `-- name: the_name` precedes each statement."""

import re
from functools import cache
from importlib.resources import files
from types import SimpleNamespace

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load_queries(package: str) -> SimpleNamespace:
    """Return all statements of the `.sql` files in `package`, each as an attribute of its name.

    Raises `ValueError` if two statements have the same name.
    """
    statements: dict[str, str] = {}
    for file in sorted(files(package).iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
        for name, statement in zip(parts[::2], parts[1::2], strict=True):
            if name in statements:
                raise ValueError(f"{package}/{file.name}: two statements are named {name!r}")
            statements[name] = statement.strip().removesuffix(";")
    return SimpleNamespace(**statements)
