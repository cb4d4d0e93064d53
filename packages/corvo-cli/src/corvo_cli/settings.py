"""The settings of a run: flags, then environment variables, then the configuration file.

The file is `config.toml` in the platform's configuration directory. `CORVO_CONFIG` names another
file. The format is TOML::

    profile = "local"                  # the default profile

    [profiles.local]
    server = "http://localhost:8080"

    [profiles.production]
    server = "https://jobs.example.com"
    api_key_file = "/home/ada/.corvo.key"      # or the key itself: api_key = "..."
    ca = "/etc/corvo/authority.pem"    # the authority of its TLS certificate
    output = "jsonl"
    codec = "/etc/corvo/keys"          # the file with the keys of encrypted jobs
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import click

from corvo_cli.show.output import Format

DEFAULT_SERVER = "http://localhost:8080"
_KEYS = frozenset({"server", "api_key", "api_key_file", "ca", "output", "codec"})


@dataclass(slots=True)
class Flags:
    """The shared options of the command line; None for an option that was not given."""

    server: str | None = None
    api_key: str | None = None
    api_key_file: str | None = None
    ca: str | None = None
    profile: str | None = None
    output: str | None = None
    codec: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of this run. `server_source` says where the server is from, for messages.

    `is_server_chosen` is False if the server is the default. `is_server_option` is True if an
    option names the server or its profile: it then overrides the server in the code of a worker.
    `codec` has the CORVO_CODEC_ variables that apply; it is empty if jobs are not encrypted.
    """

    server: str
    api_key: str | None
    output: Format
    ca: str | None = None
    profile: str | None = None
    server_source: str = "the default"
    is_server_chosen: bool = False
    is_server_option: bool = False
    codec: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Profile:
    """A named set of settings from the configuration file."""

    name: str | None = None
    server: str | None = None
    api_key: str | None = None
    api_key_file: str | None = None
    ca: str | None = None
    output: str | None = None
    codec: str | None = None


class _Key(NamedTuple):
    """An API key, or the name of its file. `source` names the setting of the file."""

    text: str | None = None
    file: str | None = None
    source: str = ""

    def read(self) -> str | None:
        """Return the key; None if there is none. Raises `click.UsageError`."""
        if self.text or not self.file:
            return self.text
        try:
            text = Path(self.file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"{self.source}: cannot read the API key: {error}") from error
        if not text:
            raise click.UsageError(
                f"{self.source}: the file {self.file} is empty. Write an API key into it."
            )
        return text


def resolve(flags: Flags, environment: Mapping[str, str]) -> Settings:
    """Return the settings. Raises `click.UsageError` for an invalid profile or file.

    A profile chosen by the flag overrides the environment; any other profile does not. The key of
    a profile is used only with the server of the same profile. The flags, the environment and a
    profile may each have the key or the name of its file; the key goes first.
    """
    profile = _read_profile(flags.profile, environment)
    from_environment = {
        "server": environment.get("CORVO_SERVER"),
        "ca": environment.get("CORVO_CA_FILE"),
        "output": environment.get("CORVO_OUTPUT"),
        "codec": environment.get("CORVO_CODEC_KEYS_FILE"),
    }

    def first(name: str) -> str | None:
        values = [from_environment[name], getattr(profile, name)]
        if flags.profile:
            values.reverse()
        return getattr(flags, name) or values[0] or values[1] or None

    server = first("server")
    source, is_option = _source(server, flags, from_environment["server"], profile)
    of_profile = _Key(profile.api_key, profile.api_key_file, f"profile {profile.name}")
    of_environment = _Key(
        environment.get("CORVO_API_KEY"),
        environment.get("CORVO_API_KEY_FILE"),
        "CORVO_API_KEY_FILE",
    )
    keys = [of_environment, of_profile if server == profile.server else _Key()]
    if flags.profile:
        keys.reverse()
    keys.insert(0, _Key(flags.api_key, flags.api_key_file, "--api-key-file"))
    return Settings(
        server=server or DEFAULT_SERVER,
        api_key=next((text for key in keys if (text := key.read())), None),
        ca=first("ca"),
        output=_format(first("output")),
        profile=profile.name,
        server_source=source,
        is_server_chosen=server is not None,
        is_server_option=is_option,
        codec=_codec(first("codec"), flags, environment, profile),
    )


def _codec(
    path: str | None, flags: Flags, environment: Mapping[str, str], profile: Profile
) -> dict[str, str]:
    """Return the CORVO_CODEC_ variables for the file `path`, or for the keys in the environment."""
    is_option = flags.codec or (flags.profile and profile.codec)
    found = {"CORVO_CODEC_REQUIRE": environment.get("CORVO_CODEC_REQUIRE", "")}
    if environment.get("CORVO_CODEC_KEYS") and not is_option:
        # Together with a file in the environment, the client refuses them.
        found["CORVO_CODEC_KEYS"] = environment["CORVO_CODEC_KEYS"]
        path = environment.get("CORVO_CODEC_KEYS_FILE")
    if path:
        found["CORVO_CODEC_KEYS_FILE"] = path
    return found if len(found) > 1 else {}


def _source(
    server: str | None, flags: Flags, from_environment: str | None, profile: Profile
) -> tuple[str, bool]:
    """Return where the server is from, and whether that is an option."""
    if server is None:
        return "the default", False
    if flags.server:
        return "--server", True
    if profile.server == server and (flags.profile or not from_environment):
        name = f"profile {profile.name}"
        return (f"--{name}", True) if flags.profile else (name, False)
    return "CORVO_SERVER", False


def config_path(environment: Mapping[str, str]) -> Path:
    """Return the path of the configuration file, which may not exist."""
    named = environment.get("CORVO_CONFIG")
    return Path(named) if named else Path(click.get_app_dir("corvo")) / "config.toml"


def profile_names(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the profiles in the configuration file."""
    return list(_read_profiles(config_path(environment))[0])


def _read_profile(flag: str | None, environment: Mapping[str, str]) -> Profile:
    path = config_path(environment)
    wanted = flag or environment.get("CORVO_PROFILE")
    profiles, default = _read_profiles(path)
    name = wanted or default
    if name is None:
        return Profile()
    if name not in profiles:
        known = ", ".join(profiles) or "none"
        raise click.UsageError(f"There is no profile {name!r} in {path}. Known profiles: {known}.")
    return Profile(name=name, **profiles[name])


def _read_profiles(path: Path) -> tuple[dict[str, dict[str, str]], str | None]:
    """Return the profiles of a file, and the name of the default profile."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, None
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"Cannot read {path}: {error}") from error
    import tomllib  # noqa: PLC0415 - most runs have no such file

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise click.UsageError(f"{path} is not valid TOML: {error}") from error
    unknown = document.keys() - {"profile", "profiles"}
    if unknown:
        raise click.UsageError(
            f"{path} has an unknown key: {_listed(unknown)}. Write settings under [profiles.NAME]."
        )
    profiles = document.get("profiles", {})
    default = document.get("profile")
    if not isinstance(profiles, dict) or not (default is None or isinstance(default, str)):
        raise click.UsageError(
            f'{path} is not valid. Write profile = "NAME", and settings under [profiles.NAME].'
        )
    return {name: _checked(path, name, table) for name, table in profiles.items()}, default


def _checked(path: Path, name: str, table: Any) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise click.UsageError(f"{path}: all values under [profiles.{name}] must be strings.")
    unknown = table.keys() - _KEYS
    if unknown:
        raise click.UsageError(
            f"{path} has an unknown key under [profiles.{name}]: {_listed(unknown)}. "
            f"Known keys: {_listed(_KEYS)}."
        )
    return table


def _format(text: str | None) -> Format:
    try:
        return Format(text or Format.TABLE)
    except ValueError:
        raise click.UsageError(
            f"{text!r} is not an output format. Use one of: {', '.join(Format)}."
        ) from None


def _listed(names: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(names))
