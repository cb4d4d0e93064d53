"""The server's settings: from options, else from `CORVO_*` in the environment, else as below."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from corvo_schema.durations import Duration, format_duration
from corvo_server.engine.engine import Policy
from corvo_server.engine.maintenance import Retention
from corvo_server.engine.payloads import SizeLimits
from corvo_server.logs import LogFormat, LogLevel
from corvo_server.store.database_url import is_postgres, masked, sqlite_directory

_DAY = 86_400_000
_OPTIONS = {"database_url": "database"}
"""Those whose option has another name than their variable."""


def _within(low: int, high: int) -> AfterValidator:
    def check(ms: int) -> int:
        if not low <= ms <= high:
            raise ValueError(f"must be from {format_duration(low)} to {format_duration(high)}")
        return ms

    return AfterValidator(check)


class Settings(BaseSettings):
    """Every setting, its default and what it does. Durations are like `30s`, `12h`, `7d`."""

    model_config = SettingsConfigDict(
        env_prefix="CORVO_", extra="ignore", frozen=True, validate_default=False
    )

    bind: str = Field(
        "127.0.0.1:8080",
        description="Address and port to listen on; port 0 takes a free one, which the log names.",
    )
    data_dir: Path = Field(
        Path("corvo-data"), description="Directory of the database file; created if need be."
    )
    database_url: str | None = Field(
        None,
        repr=False,
        description="Database in place of the file in the data directory: postgresql://… (several "
        "hosts: host1,host2) or sqlite:///directory.",
    )
    database_schema: str = Field(
        "corvo",
        pattern="^[a-z_][a-z0-9_]{0,62}$",
        description="Schema of the PostgreSQL database that the tables are in; created if need be.",
    )
    database_connections: int = Field(
        8,
        ge=1,
        le=1000,
        description="Most connections to PostgreSQL that read; a few more write and listen.",
    )
    database_listen_url: str | None = Field(
        None,
        repr=False,
        description="The database past a pooler in transaction mode, to listen for wake-ups; "
        "else as database.",
    )
    notify: bool = Field(
        True,
        description="Wake other servers on the same PostgreSQL by LISTEN and NOTIFY; else they "
        "look for themselves, four times a second.",
    )
    log_level: LogLevel = Field(
        LogLevel.INFO, description="Least severity that is logged; lines of requests are info."
    )
    log_format: LogFormat = Field(
        LogFormat.AUTO, description="json, text, or auto: text on a terminal, else json."
    )
    lease: Annotated[Duration, _within(1_000, _DAY)] = Field(
        60_000, description="How long a fetched job is held without a heartbeat, by default."
    )
    max_payload_bytes: int = Field(
        256 * 1024, ge=1, description="Largest payload of a job, in bytes of JSON."
    )
    max_result_bytes: int = Field(
        1024 * 1024, ge=1, description="Largest result of a job, in bytes of JSON."
    )
    max_checkpoint_bytes: int = Field(
        1024 * 1024, ge=1, description="Largest checkpoint of a job, in bytes of JSON."
    )
    max_progress_bytes: int = Field(
        64 * 1024, ge=1, description="Largest progress of a job, in bytes of JSON."
    )
    max_body_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, description="Largest body of a request, in bytes."
    )
    max_backlog: int = Field(
        10_000,
        ge=1,
        description="Most writes that may wait for their commit; beyond, requests get 429.",
    )
    max_commit: int = Field(
        1_000,
        ge=1,
        description="Most writes that share a commit; a smaller number answers the first sooner.",
    )
    cors_origins: Annotated[list[str], NoDecode] = Field(
        [], description="Origins (comma-separated, * for any) whose pages may call the API."
    )
    retain_completed: Duration = Field(
        7 * _DAY, description="How long completed and cancelled jobs are kept; 0s: for ever."
    )
    retain_dead: Duration = Field(
        30 * _DAY, description="How long dead jobs are kept; 0s: for ever."
    )
    retain_events: Duration = Field(
        7 * _DAY, description="How long the event log reaches back; 0s: for ever."
    )
    prune_interval: Annotated[Duration, _within(100, _DAY)] = Field(
        60_000, description="How often finished jobs and events past their time are removed."
    )
    shutdown_timeout: Duration = Field(
        10_000, description="How long a stop waits for requests that are in flight."
    )

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [origin.strip() for origin in value.split(",") if origin.strip()]
        return value

    @field_validator("database_url", "database_listen_url", mode="before")
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
    def postgres_url(self) -> str | None:
        """The PostgreSQL database; None: there is a SQLite file in `sqlite_dir`."""
        url = self.database_url
        return url if url is not None and is_postgres(url) else None

    @property
    def sqlite_dir(self) -> Path:
        """The directory with the SQLite file."""
        url = self.database_url
        return self.data_dir if url is None else sqlite_directory(url)

    @property
    def place(self) -> str:
        """Where the jobs are, as it may be shown."""
        url = self.postgres_url
        return str(self.sqlite_dir) if url is None else masked(url)

    @property
    def policy(self) -> Policy:
        """What of it the engine decides by."""
        return Policy(
            limits=SizeLimits(
                payload=self.max_payload_bytes,
                result=self.max_result_bytes,
                checkpoint=self.max_checkpoint_bytes,
                progress=self.max_progress_bytes,
            ),
            default_lease_ms=self.lease,
            retention=Retention(self.retain_completed, self.retain_dead, self.retain_events),
        )


def split_bind(bind: str) -> tuple[str, int]:
    """`host:port` as a pair; a host in brackets is IPv6. Raises `ValueError`."""
    host, colon, port = bind.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{bind!r} is not HOST:PORT, like 127.0.0.1:8080 or [::]:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def variable_of(setting: str) -> str:
    """The environment variable of a setting."""
    return f"CORVO_{setting.upper()}"


def option_of(setting: str) -> str:
    """The option of a setting, as `--on/--off` where it is a yes or no."""
    name = _OPTIONS.get(setting, setting).replace("_", "-")
    is_flag = Settings.model_fields[setting].annotation is bool
    return f"--{name}/--no-{name}" if is_flag else f"--{name}"


def defaults() -> dict[str, str]:
    """Every setting's default, as one would write it, whatever the environment says."""
    plain = Settings.model_construct().model_dump(mode="json")
    return {name: _written(value) for name, value in plain.items()}


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)
