"""The server's settings: from options, else from `CORVO_*` in the environment, else as below."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from corvo_schema.durations import Duration, format_duration
from corvo_server.engine.engine import Policy
from corvo_server.engine.maintenance import Retention
from corvo_server.logs import LogFormat, LogLevel

_DAY = 86_400_000


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

    @field_validator("bind")
    @classmethod
    def _check_bind(cls, value: str) -> str:
        split_bind(value)
        return value

    @property
    def policy(self) -> Policy:
        """What of it the engine decides by."""
        return Policy(
            max_payload_bytes=self.max_payload_bytes,
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


def defaults() -> dict[str, str]:
    """Every setting's default, as one would write it, whatever the environment says."""
    plain = Settings.model_construct().model_dump(mode="json")
    return {
        name: ",".join(value) if isinstance(value, list) else str(value)
        for name, value in plain.items()
    }
