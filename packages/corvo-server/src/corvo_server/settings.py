"""The server's settings. An option takes precedence over a `CORVO_*` environment variable."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from corvo_schema.durations import Duration, format_duration
from corvo_server.certificates import TlsFiles
from corvo_server.engine.engine import Policy
from corvo_server.engine.maintenance import Retention
from corvo_server.engine.payloads import SizeLimits
from corvo_server.http.budgets import Limits
from corvo_server.logs import LogFormat, LogLevel
from corvo_server.redaction.rules import read_rule, split_rules
from corvo_server.store.database_url import is_postgres, masked, sqlite_directory
from corvo_server.webhooks.addresses import read_network

_DAY = 86_400_000
_HOST_NAME = re.compile(
    r"\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*"
)
_OPTIONS = {"database_url": "database", "allowed_hosts": "allowed-host"}
"""Options of the settings whose option and environment variable have different names."""


def _within(low: int, high: int) -> AfterValidator:
    def check(ms: int) -> int:
        if not low <= ms <= high:
            raise ValueError(f"must be from {format_duration(low)} to {format_duration(high)}")
        return ms

    return AfterValidator(check)


class Settings(BaseSettings):
    """All settings with default and description. Durations are written like `30s`, `12h`, `7d`."""

    model_config = SettingsConfigDict(
        env_prefix="CORVO_", extra="ignore", frozen=True, validate_default=False
    )

    bind: str = Field(
        "127.0.0.1:8080",
        description="Address and port to listen on. Port 0 selects a free port and logs it.",
    )
    tls_cert: Path | None = Field(
        None,
        description="File of the TLS certificate in PEM, followed by those of its intermediate "
        "authorities. The server then speaks HTTPS only. SIGHUP loads all files of TLS again.",
    )
    tls_key: Path | None = Field(
        None,
        validate_default=True,
        description="File of the private key of the TLS certificate, in PEM.",
    )
    tls_key_password_file: Path | None = Field(
        None,
        validate_default=True,
        description="File with the password of the private key, if it is encrypted.",
    )
    tls_client_ca: Path | None = Field(
        None,
        validate_default=True,
        description="File of the authorities, in PEM, that sign the TLS certificates of clients. A "
        "client that sends another certificate is refused.",
    )
    tls_client_required: bool = Field(
        False,
        validate_default=True,
        description="Refuse clients without a TLS certificate. Needs --tls-client-ca.",
    )
    trusted_proxies: Annotated[list[str], NoDecode] = Field(
        [],
        description="Addresses and networks (10.0.0.0/8) of proxies, separated by commas. Their "
        "X-Forwarded-For, -Proto, -Host and Forwarded say who called; those of others are ignored.",
    )
    hsts: Annotated[Duration, _within(0, 10 * 365 * _DAY)] = Field(
        0,
        description="How long browsers must use only HTTPS for this server "
        "(Strict-Transport-Security); 0s says nothing. Sent over TLS, and through a trusted proxy "
        "that says https.",
    )
    data_dir: Path = Field(
        Path("corvo-data"),
        description="Directory of the SQLite database. The server creates it if it does not exist.",
    )
    database_url: str | None = Field(
        None,
        repr=False,
        description="Database to use instead of the data directory: "
        "postgresql://user@host/name (several hosts: host1,host2) or sqlite:///directory.",
    )
    database_schema: str = Field(
        "corvo",
        pattern="^[a-z_][a-z0-9_]{0,62}$",
        description="PostgreSQL schema of the tables. The server creates it if it does not exist.",
    )
    database_connections: int = Field(
        8,
        ge=1,
        le=1000,
        description="Maximum number of PostgreSQL connections for reads. The server opens a few "
        "more to write and to listen.",
    )
    database_listen_url: str | None = Field(
        None,
        repr=False,
        description="URL of the PostgreSQL database for LISTEN. Set it if --database goes through "
        "a pooler in transaction mode. Without it, the server listens on --database.",
    )
    notify: bool = Field(
        True,
        description="Notify the other servers on the PostgreSQL database of new jobs (LISTEN and "
        "NOTIFY). Without it, they poll four times a second.",
    )
    log_level: LogLevel = Field(
        LogLevel.INFO,
        description="Minimum severity of log lines: debug, info, warning or error. Request lines "
        "have the severity info.",
    )
    log_format: LogFormat = Field(
        LogFormat.AUTO,
        description="Format of log lines: json, text, or auto (text on a terminal, else json).",
    )
    insecure_no_auth: bool = Field(
        False,
        description="Serve an address that other machines reach without API keys. Everybody on the "
        "network can then read and change all jobs.",
    )
    bootstrap_key: bool = Field(
        False,
        description="If there are no API keys at the start, make one with the role admin and print "
        "it alone on stdout, this once. Several servers on one database make one key.",
    )
    bootstrap_key_file: Path | None = Field(
        None,
        description="File with a key that `corvo-server keys new` has made. If there are no API "
        "keys at the start, it becomes one with the role admin.",
    )
    open_metrics: bool = Field(
        False, description="Serve GET /api/v1/metrics without an API key, for a Prometheus."
    )
    redact: Annotated[list[str], NoDecode] = Field(
        [],
        description="Paths of secret values in payloads, separated by commas, like `$.card.*`; for "
        "some queues with a pattern, like `payments.*:$.card.number`. Callers below the role "
        "operator see [redacted] in their place, and cannot search by them.",
    )
    webhook_allow: Annotated[list[str], NoDecode] = Field(
        [],
        description="Networks that webhooks may be sent to although they are not public, separated "
        "by commas, like 10.1.0.0/16 or 127.0.0.1. All other private, link-local and loopback "
        "addresses are refused.",
    )
    lease: Annotated[Duration, _within(1_000, _DAY)] = Field(
        60_000,
        description="Default lease of a fetched job: the time within which its worker must ack, "
        "fail or heartbeat. A fetch can request another lease.",
    )
    require_lease_tokens: bool = Field(
        False,
        description="Fence every attempt unless its fetch says `fenced: false`: only a call with "
        "its lease token can ack, fail, release or extend it. Older SDKs that send no token then "
        "get status 409.",
    )
    max_payload_bytes: int = Field(
        256 * 1024, ge=1, description="Maximum size of a job's payload, in bytes of JSON."
    )
    max_result_bytes: int = Field(
        1024 * 1024, ge=1, description="Maximum size of a job's result, in bytes of JSON."
    )
    max_checkpoint_bytes: int = Field(
        1024 * 1024, ge=1, description="Maximum size of a job's checkpoint, in bytes of JSON."
    )
    max_progress_bytes: int = Field(
        64 * 1024, ge=1, description="Maximum size of a job's progress, in bytes of JSON."
    )
    max_body_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, description="Maximum size of a request body, in bytes."
    )
    max_total_body_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        description="Maximum size of all request bodies in progress, in bytes. Further bodies get "
        "status 429. A quarter is for bodies of at most 64 KB.",
    )
    max_unread_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        description="Maximum size of all replies that clients have not read, in bytes. Further "
        "reads and fetches of more than 64 KB get status 429.",
    )
    max_connections: int = Field(
        10_000,
        ge=1,
        description="Maximum number of connections. Requests on further ones get status 503.",
    )
    max_connections_per_address: int = Field(
        5_000,
        ge=0,
        description="Maximum number of connections from one address; 0 sets no limit. It "
        "does not hold for --trusted-proxies.",
    )
    max_fetch_bytes: int = Field(
        8 * 1024 * 1024,
        ge=1,
        description="Maximum size of the payloads, checkpoints and tags of the jobs of one fetch, "
        "in bytes of JSON. A fetch returns fewer jobs than it asks for if they are larger, but at "
        "least one.",
    )
    max_backlog: int = Field(
        10_000,
        ge=1,
        description="Maximum number of writes that wait for their commit. Further writes get "
        "status 429. Acks, fails, releases and heartbeats get it at twice this number.",
    )
    max_backlog_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1,
        description="Maximum size of the writes that wait for their commit, in bytes of memory. "
        "Further writes get status 429; those of running jobs get it at twice this size.",
    )
    max_commit: int = Field(
        1_000,
        ge=1,
        description="Maximum number of writes in one group commit. A lower number reduces the "
        "latency of a commit and the throughput.",
    )
    cors_origins: Annotated[list[str], NoDecode] = Field(
        [],
        description="Origins whose web pages may call the API, separated by commas; * allows any.",
    )
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        [],
        description="Host names and addresses under which the server may be called, separated by "
        "commas, without ports; * allows any. Loopback names and the bind address are always "
        "allowed. Without this setting, a server on a loopback address serves only these, and any "
        "other server serves every host.",
    )
    retain_completed: Duration = Field(
        7 * _DAY,
        description="How long completed and cancelled jobs are kept; 0s keeps them forever.",
    )
    retain_dead: Duration = Field(
        30 * _DAY, description="How long dead jobs are kept; 0s keeps them forever."
    )
    retain_events: Duration = Field(
        7 * _DAY, description="How long the event log keeps events; 0s keeps them forever."
    )
    retain_audit: Duration = Field(
        90 * _DAY, description="How long the audit log keeps entries; 0s keeps them forever."
    )
    prune_interval: Annotated[Duration, _within(100, _DAY)] = Field(
        60_000,
        description="Interval between two deletions of jobs and events that are past their "
        "retention.",
    )
    shutdown_timeout: Duration = Field(
        10_000,
        description="Maximum time that a shutdown waits for requests in flight. The server then "
        "closes their connections.",
    )

    @field_validator(
        "cors_origins", "allowed_hosts", "trusted_proxies", "webhook_allow", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("redact", mode="before")
    @classmethod
    def _split_rules(cls, value: object) -> object:
        return split_rules(value) if isinstance(value, str) else value

    @field_validator("redact")
    @classmethod
    def _check_rules(cls, rules: list[str]) -> list[str]:
        for rule in rules:
            read_rule(rule)
        return rules

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if not _HOST_NAME.fullmatch(host):
                raise ValueError(
                    f"{host!r} is not a host name or address without a port, like corvo.internal"
                )
        return hosts

    @field_validator("webhook_allow")
    @classmethod
    def _check_networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            read_network(network)
        return networks

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, networks: list[str]) -> list[str]:
        for text in networks:
            try:
                ip_network(text)
            except ValueError as error:
                raise ValueError(
                    f"{text!r} is not an address or a network, like 10.0.0.0/8 ({error})"
                ) from None
        return networks

    @field_validator("tls_cert", "tls_key", "tls_key_password_file", "tls_client_ca", mode="before")
    @classmethod
    def _no_file_if_empty(cls, value: object) -> object:
        return value or None

    @field_validator("hsts")
    @classmethod
    def _check_hsts(cls, value: int, info: ValidationInfo) -> int:
        if value and info.data.get("tls_cert") is None and not info.data.get("trusted_proxies"):
            raise ValueError("has no effect without --tls-cert or --trusted-proxies; set one, too")
        return value

    @field_validator("tls_key")
    @classmethod
    def _check_key(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        _check_pair(info, "tls_cert", value is not None)
        if value is None and info.data.get("tls_cert") is not None:
            raise ValueError("--tls-cert needs the private key of the certificate: --tls-key FILE")
        return value

    @field_validator("tls_key_password_file", "tls_client_ca")
    @classmethod
    def _check_needs_cert(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        _check_pair(info, "tls_cert", value is not None)
        return value

    @field_validator("tls_client_required")
    @classmethod
    def _check_needs_authorities(cls, value: bool, info: ValidationInfo) -> bool:
        _check_pair(info, "tls_client_ca", value)
        return value

    @field_validator("database_url", "database_listen_url", "bootstrap_key_file", mode="before")
    @classmethod
    def _nothing_if_empty(cls, value: object) -> object:
        return value or None

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str | None) -> str | None:
        if value is not None:
            is_postgres(value)
        return value

    @field_validator("database_listen_url")
    @classmethod
    def _check_listen(cls, value: str | None) -> str | None:
        if value is not None and not is_postgres(value):
            raise ValueError("must be like postgresql://user@host/name")
        return value

    @field_validator("bind")
    @classmethod
    def _check_bind(cls, value: str) -> str:
        split_bind(value)
        return value

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files of TLS; None if the server speaks plain HTTP."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return TlsFiles(
            self.tls_cert,
            self.tls_key,
            self.tls_key_password_file,
            self.tls_client_ca,
            self.tls_client_required,
        )

    @property
    def postgres_url(self) -> str | None:
        """URL of the PostgreSQL database; None if the database is a SQLite file."""
        url = self.database_url
        return url if url is not None and is_postgres(url) else None

    @property
    def sqlite_dir(self) -> Path:
        """Directory of the SQLite file."""
        url = self.database_url
        return self.data_dir if url is None else sqlite_directory(url)

    @property
    def place(self) -> str:
        """Location of the database for messages, without a password."""
        url = self.postgres_url
        return str(self.sqlite_dir) if url is None else masked(url)

    @property
    def http_limits(self) -> Limits:
        """The budgets of the HTTP server."""
        return Limits(
            body_bytes=self.max_total_body_bytes,
            unread_bytes=self.max_unread_bytes,
            connections=self.max_connections,
            connections_of_address=self.max_connections_per_address,
        )

    @property
    def policy(self) -> Policy:
        """The settings of the engine."""
        return Policy(
            limits=SizeLimits(
                payload=self.max_payload_bytes,
                result=self.max_result_bytes,
                checkpoint=self.max_checkpoint_bytes,
                progress=self.max_progress_bytes,
            ),
            max_fetch_bytes=self.max_fetch_bytes,
            default_lease_ms=self.lease,
            require_lease_tokens=self.require_lease_tokens,
            webhook_allow=tuple(self.webhook_allow),
            redaction=tuple(map(read_rule, self.redact)),
            retention=Retention(
                self.retain_completed, self.retain_dead, self.retain_events, self.retain_audit
            ),
        )


def _check_pair(info: ValidationInfo, needed: str, is_set: bool) -> None:
    """Raise `ValueError` if a setting is set without the other one that it needs."""
    if is_set and needed in info.data and info.data[needed] is None:
        raise ValueError(f"has no effect without {option_of(needed)} FILE; set it, too")


def split_bind(bind: str) -> tuple[str, int]:
    """Split HOST:PORT; an IPv6 host is in brackets. Raise `ValueError` if it is malformed."""
    host, colon, port = bind.rpartition(":")
    if not colon or not host or not re.fullmatch("[0-9]{1,9}", port):
        raise ValueError(f"{bind!r} is not HOST:PORT, like 127.0.0.1:8080 or [::]:8080")
    if int(port) > 65535:
        raise ValueError(f"the port {port} is not from 0 to 65535")
    if host.startswith("[") is not host.endswith("]"):
        raise ValueError(f"{bind!r} lacks a bracket around its IPv6 address, like [::]:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def variable_of(setting: str) -> str:
    """Return the name of a setting's environment variable."""
    return f"CORVO_{setting.upper()}"


def option_of(setting: str) -> str:
    """Return the option of a setting, e.g. `--bind`; of a boolean one, `--notify/--no-notify`."""
    name = _OPTIONS.get(setting, setting).replace("_", "-")
    is_flag = Settings.model_fields[setting].annotation is bool
    return f"--{name}/--no-{name}" if is_flag else f"--{name}"


def defaults() -> dict[str, str]:
    """Return the default of each setting as an option's value, without the environment's values."""
    plain = Settings.model_construct().model_dump(mode="json")
    return {name: _as_text(value) for name, value in plain.items()}


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)
