"""`corvo keys`: the limits of a key."""

from typing import Any

import pytest

LIMITS = {"max_rate": 50, "max_waiting": 1000, "max_bytes": 2000}
KEY = {"id": "k1", "name": "tenant", "roles": ["producer"], "valid": True}


def test_limits_are_sent_as_numbers(corvo: Any, server: Any) -> None:
    server.answer("POST /auth/keys", {**KEY, **LIMITS, "key": "corvo_x"}, 201)
    options = ["--max-rate", "50", "--max-waiting", "1000", "--max-bytes", "2000"]
    result = corvo("keys", "create", "tenant", "--role", "producer", *options)
    assert result.exit_code == 0, result.output
    (sent,) = server.bodies
    assert {name: sent[name] for name in LIMITS} == LIMITS


def test_limits_are_shown(corvo: Any, server: Any) -> None:
    server.answer("GET /auth/keys", [KEY | LIMITS, KEY | {"name": "free"}])
    first, second = corvo("keys").stdout.splitlines()[1:]
    assert "50 requests/s, 1000 jobs waiting, 2000 bytes" in first
    assert "none" in second
    status = {"required": True, "authenticated": True, "key": KEY | {"max_rate": 50}}
    server.answer("GET /auth/status", status)
    assert "50 requests/s" in corvo("keys", "status").stdout


@pytest.mark.parametrize("value", ["0", "-5", "x"])
def test_bad_limit_is_refused(corvo: Any, value: str) -> None:
    result = corvo("keys", "create", "a", "--role", "worker", "--max-rate", value)
    assert result.exit_code == 2
    assert "--max-rate" in result.stderr
