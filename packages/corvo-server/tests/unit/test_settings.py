"""Every setting: its default, its environment variable, and invalid values."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from corvo_server.engine.payloads import SizeLimits
from corvo_server.logs import LogFormat, LogLevel
from corvo_server.settings import Settings, defaults, split_bind, variable_of

GOOD: dict[str, tuple[str, Any]] = {
    "bind": ("0.0.0.0:9000", "0.0.0.0:9000"),
    "tls_cert": ("", None),
    "tls_key": ("", None),
    "tls_key_password_file": ("", None),
    "tls_client_ca": ("", None),
    "tls_client_required": ("false", False),
    "trusted_proxies": (
        "10.0.0.0/8, 192.168.1.1,::1",
        ["10.0.0.0/8", "192.168.1.1", "::1"],
    ),
    "hsts": ("0s", 0),
    "data_dir": ("/var/lib/corvo", Path("/var/lib/corvo")),
    "database_url": ("postgresql://a:1,b:2/corvo", "postgresql://a:1,b:2/corvo"),
    "database_schema": ("jobs_2", "jobs_2"),
    "database_connections": ("20", 20),
    "database_listen_url": ("postgresql://direct/corvo", "postgresql://direct/corvo"),
    "notify": ("false", False),
    "log_level": ("debug", LogLevel.DEBUG),
    "log_format": ("text", LogFormat.TEXT),
    "lease": ("2m", 120_000),
    "require_lease_tokens": ("true", True),
    "insecure_no_auth": ("true", True),
    "bootstrap_key": ("true", True),
    "bootstrap_key_file": ("/run/secrets/key", Path("/run/secrets/key")),
    "open_metrics": ("true", True),
    "redact": ('$.card.*, pay.*:$["a,b"],', ["$.card.*", 'pay.*:$["a,b"]']),
    "webhook_allow": ("10.1.0.0/16, ::1", ["10.1.0.0/16", "::1"]),
    "max_payload_bytes": ("1000", 1000),
    "max_result_bytes": ("2000", 2000),
    "max_checkpoint_bytes": ("3000", 3000),
    "max_progress_bytes": ("400", 400),
    "max_body_bytes": ("2000", 2000),
    "max_total_body_bytes": ("4000", 4000),
    "max_unread_bytes": ("5000", 5000),
    "max_connections": ("60", 60),
    "max_connections_per_address": ("0", 0),
    "max_fetch_bytes": ("6000", 6000),
    "max_backlog": ("5", 5),
    "max_backlog_bytes": ("70000", 70000),
    "max_commit": ("7", 7),
    "cors_origins": (
        "https://a.example, https://b.example,",
        ["https://a.example", "https://b.example"],
    ),
    "allowed_hosts": ("Corvo.internal, 10.0.0.1,[::2]", ["Corvo.internal", "10.0.0.1", "[::2]"]),
    "retain_completed": ("1d12h", 129_600_000),
    "retain_dead": ("0s", 0),
    "retain_events": ("30m", 1_800_000),
    "retain_audit": ("365d", 31_536_000_000),
    "prune_interval": ("5s", 5_000),
    "shutdown_timeout": ("0s", 0),
}

BAD: dict[str, list[str]] = {
    "redact": ["card", "$.a,$.b[0]", "q q:$.a", "$["],
    "bind": [
        "",
        "8080",
        ":8080",
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:70000",
        "[::1:80",
        "::1]:80",
        "localhost:²",
    ],
    "tls_key": ["key.pem"],
    "tls_key_password_file": ["password"],
    "tls_client_ca": ["ca.pem"],
    "tls_client_required": ["true", "perhaps"],
    "hsts": ["365d", "-1s", "4000d", "soon"],
    "trusted_proxies": ["proxy.internal", "10.0.0.1/8", "10.0.0.0/33", "*", "10.0.0.1:80"],
    "database_url": ["corvo", "mysql://db/corvo", "sqlite://", "sqlite:///"],
    "database_schema": ["", "Corvo", "a-b", "1a", "a" * 64, "a; drop"],
    "database_connections": ["0", "", "few"],
    "database_listen_url": ["sqlite:///corvo-data", "direct"],
    "notify": ["", "perhaps"],
    "log_level": ["loud", "", "INFO "],
    "log_format": ["xml", ""],
    "lease": ["", "60", "-5s", "0s", "500ms", "2d", "soon"],
    "require_lease_tokens": ["", "perhaps"],
    "insecure_no_auth": ["", "perhaps"],
    "bootstrap_key": ["", "perhaps"],
    "open_metrics": ["", "perhaps"],
    "webhook_allow": ["localhost", "10.0.0.1/8", "*"],
    "max_payload_bytes": ["", "0", "-1", "many", "1.5"],
    "max_result_bytes": ["0"],
    "max_checkpoint_bytes": ["0"],
    "max_progress_bytes": ["0"],
    "max_body_bytes": ["0", "1023", "8MB"],
    "max_total_body_bytes": ["0", "1023", "64MB"],
    "max_unread_bytes": ["0", "1023"],
    "max_connections": ["0", "-1"],
    "max_connections_per_address": ["-1", "many"],
    "max_fetch_bytes": ["0", "8MB"],
    "max_backlog": ["0", "-5", ""],
    "max_backlog_bytes": ["0", "x"],
    "max_commit": ["0", "x"],
    "allowed_hosts": ["corvo:8080", "http://corvo", "*.corvo", "a b", "[::1]:80"],
    "retain_completed": ["7", "-1d", "99999d"],
    "retain_dead": ["forever"],
    "retain_events": ["1x"],
    "retain_audit": ["a year"],
    "prune_interval": ["0s", "1ms", "often"],
    "shutdown_timeout": ["10", "-1s"],
}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)


def test_every_setting_is_tested() -> None:
    assert set(GOOD) == set(Settings.model_fields)


@pytest.mark.parametrize("name", GOOD)
def test_setting_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, value = GOOD[name]
    monkeypatch.setenv(variable_of(name), text)
    assert getattr(Settings(), name) == value


@pytest.mark.parametrize("name", GOOD)
def test_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, value = GOOD[name]
    monkeypatch.setenv(variable_of(name), BAD.get(name, [""])[0])
    options: dict[str, Any] = {name: text}
    assert getattr(Settings(**options), name) == value


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts]
)
def test_bad_value_names_its_setting(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(variable_of(name), text)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert [error["loc"] for error in caught.value.errors()] == [(name,)]


def test_files_of_tls_belong_together() -> None:
    options: dict[str, Any] = {"tls_cert": "cert.pem", "tls_key": "key.pem", "hsts": "30d"}
    more = {"tls_client_ca": "ca.pem", "tls_client_required": "true"}
    files = Settings(**options, **more).tls_files
    assert files == (Path("cert.pem"), Path("key.pem"), None, Path("ca.pem"), True)
    behind_proxy: dict[str, Any] = {"trusted_proxies": "::1", "hsts": "1m"}
    assert Settings(**behind_proxy).hsts == 60_000
    with pytest.raises(ValidationError, match=r"needs the private key.*--tls-key FILE"):
        Settings(tls_cert=Path("cert.pem"))
    for name in ("tls_key", "tls_key_password_file", "tls_client_ca"):
        with pytest.raises(ValidationError, match="no effect without --tls-cert FILE"):
            Settings(**{name: "file.pem"})
    with pytest.raises(ValidationError, match="no effect without --tls-client-ca FILE"):
        Settings(**options, tls_client_required=True)
    with pytest.raises(ValidationError, match="no effect without --tls-cert or --trusted-proxies"):
        Settings(**{**behind_proxy, "trusted_proxies": ""})


def test_unknown_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORVO_NO_SUCH_SETTING", "x")
    Settings()


def test_defaults_are_as_documented() -> None:
    shown = defaults()
    assert shown["bind"] == "127.0.0.1:8080"
    assert shown["data_dir"] == "corvo-data"
    assert shown["lease"] == "1m"
    assert shown["retain_dead"] == "30d"
    assert shown["cors_origins"] == ""
    assert set(shown) == set(Settings.model_fields)
    settings = Settings()
    for name, text in shown.items():
        options: dict[str, Any] = {name: text}
        assert getattr(Settings(**options), name) == getattr(settings, name), name


def test_defaults_do_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORVO_BIND", "nonsense")
    assert defaults()["bind"] == "127.0.0.1:8080"


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_policy_has_the_values_of_the_settings() -> None:
    sizes = {"payload": 10, "result": 20, "checkpoint": 30, "progress": 40}
    options: dict[str, Any] = {f"max_{kind}_bytes": size for kind, size in sizes.items()}
    options |= {"lease": "5s", "retain_dead": "1h", "require_lease_tokens": True}
    policy = Settings(**options).policy
    assert policy.default_lease_ms == 5_000
    assert policy.require_lease_tokens
    assert policy.limits == SizeLimits(**sizes)
    assert policy.retention.dead == 3_600_000
    assert policy.retention.completed == 7 * 86_400_000


@pytest.mark.parametrize(
    ("bind", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("localhost:0", "localhost", 0),
        ("[::]:8080", "::", 8080),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_split_bind(bind: str, host: str, port: int) -> None:
    assert split_bind(bind) == (host, port)
