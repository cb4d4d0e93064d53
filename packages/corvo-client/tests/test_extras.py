"""A module that needs an extra says how to install it."""

import importlib
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "needs", "extra"),
    [
        ("corvo_client.encryption", "cryptography", "encryption"),
        ("corvo_client.otel", "opentelemetry", "otel"),
        ("corvo_client.outbox.sqlalchemy", "sqlalchemy", "sqlalchemy"),
    ],
)
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, needs: str, extra: str
) -> None:
    monkeypatch.delitem(sys.modules, module, raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == needs]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, needs, None)
    with pytest.raises(ModuleNotFoundError) as raised:
        importlib.import_module(module)
    assert raised.value.__notes__ == [f'Run: pip install "corvo-client[{extra}]"']
