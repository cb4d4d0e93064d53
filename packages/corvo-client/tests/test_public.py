"""Public names exist, and their modules are imported at first use only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import corvo_client
from corvo_client import EnqueueOptions, EnqueueRequest


def test_all_names_can_be_imported() -> None:
    for name in corvo_client.__all__:
        assert getattr(corvo_client, name) is not None
    assert set(dir(corvo_client)) == set(corvo_client.__all__)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(corvo_client.__file__).read_text())
    [block] = [
        n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)
    ]
    seen = {
        (alias.name, node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == set(corvo_client._MODULE_OF.items())
    assert {name for name, _ in seen} | {"__version__"} == set(corvo_client.__all__)


def test_every_field_of_an_enqueue_has_an_option() -> None:
    fields = set(EnqueueRequest.model_fields) - {"queue", "payload"}
    assert set(EnqueueOptions.__annotations__) == fields


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        corvo_client.Clinet  # noqa: B018


def test_import_loads_nothing_heavy() -> None:
    heavy = {"asyncio", "click", "corvo_schema", "corvo_server", "django", "httpx", "pydantic"}
    heavy |= {"rich", "sanic", "sqlalchemy", "ssl", "textual"}
    code = f"import sys, corvo_client; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
