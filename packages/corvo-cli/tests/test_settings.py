"""The precedence of flags, environment and configuration file; keys belong to one server."""

from pathlib import Path
from typing import Any

import click
import pytest

from corvo_cli.settings import Flags, config_path, profile_names, resolve
from corvo_cli.show.output import Format

CONFIG = """
profile = "local"

[profiles.local]
server = "http://local:1"
output = "jsonl"

[profiles.production]
server = "https://prod"
api_key = "prod-key"

[profiles.keyed]
api_key = "local-key"
"""


@pytest.fixture
def config(environment: dict[str, str]) -> Path:
    path = Path(environment["CORVO_CONFIG"])
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_defaults_need_no_file(environment: dict[str, str]) -> None:
    settings = resolve(Flags(), environment)
    assert settings.server == "http://localhost:8080"
    assert settings.api_key is None
    assert settings.output is Format.TABLE
    assert not settings.is_server_chosen


@pytest.mark.parametrize(
    ("flags", "variables", "server", "key"),
    [
        ({}, {}, "http://local:1", None),
        ({"profile": "production"}, {}, "https://prod", "prod-key"),
        ({}, {"CORVO_PROFILE": "production"}, "https://prod", "prod-key"),
        ({}, {"CORVO_SERVER": "http://env:2"}, "http://env:2", None),
        ({"server": "http://flag:3"}, {"CORVO_SERVER": "http://env:2"}, "http://flag:3", None),
        # A profile from a flag overrides the environment; a profile from the environment does not.
        ({"profile": "production"}, {"CORVO_SERVER": "http://env:2"}, "https://prod", "prod-key"),
        (
            {},
            {"CORVO_SERVER": "http://env:2", "CORVO_PROFILE": "production"},
            "http://env:2",
            None,
        ),
        # The key of a profile is used only with the server of the profile.
        ({"profile": "production", "server": "http://flag:3"}, {}, "http://flag:3", None),
        (
            {"profile": "production", "server": "http://flag:3"},
            {"CORVO_API_KEY": "env-key"},
            "http://flag:3",
            "env-key",
        ),
        ({"profile": "production", "api_key": "flag-key"}, {}, "https://prod", "flag-key"),
        ({"profile": "keyed"}, {}, "http://localhost:8080", "local-key"),
        ({"server": "localhost:9"}, {"CORVO_API_KEY": "env-key"}, "localhost:9", "env-key"),
        ({}, {"CORVO_SERVER": ""}, "http://local:1", None),
    ],
)
@pytest.mark.usefixtures("config")
def test_first_source_with_a_value_wins(
    environment: dict[str, str],
    flags: dict[str, Any],
    variables: dict[str, str],
    server: str,
    key: str | None,
) -> None:
    settings = resolve(Flags(**flags), {**environment, **variables})
    assert (settings.server, settings.api_key) == (server, key)


@pytest.mark.parametrize(
    ("flags", "variables", "key"),
    [
        ({"api_key_file": "flag"}, {"CORVO_API_KEY": "variable"}, "key of flag"),
        ({"api_key": "k", "api_key_file": "flag"}, {}, "k"),
        ({}, {"CORVO_API_KEY": "variable", "CORVO_API_KEY_FILE": "env"}, "variable"),
        ({}, {"CORVO_API_KEY_FILE": "env"}, "key of env"),
        ({"profile": "filed"}, {"CORVO_API_KEY": "variable"}, "key of profile"),
        ({}, {"CORVO_API_KEY_FILE": "env", "CORVO_PROFILE": "filed"}, "key of env"),
        ({}, {"CORVO_PROFILE": "filed"}, "key of profile"),
        (
            {"profile": "filed", "server": "http://other"},
            {"CORVO_API_KEY_FILE": "env"},
            "key of env",
        ),
        ({"profile": "filed", "server": "http://other"}, {}, None),
    ],
)
def test_key_may_be_in_a_file(
    environment: dict[str, str],
    tmp_path: Path,
    flags: dict[str, Any],
    variables: dict[str, str],
    key: str | None,
) -> None:
    for name in ("flag", "env", "profile"):
        (tmp_path / name).write_text(f"key of {name}\n", encoding="utf-8")
    Path(environment["CORVO_CONFIG"]).write_text(
        f'[profiles.filed]\nserver = "http://s"\napi_key_file = "{tmp_path / "profile"}"\n',
        encoding="utf-8",
    )
    if "api_key_file" in flags:
        flags = {**flags, "api_key_file": str(tmp_path / flags["api_key_file"])}
    if "CORVO_API_KEY_FILE" in variables:
        variables = {**variables, "CORVO_API_KEY_FILE": str(tmp_path / "env")}
    assert resolve(Flags(**flags), {**environment, **variables}).api_key == key


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), (" \n", "is empty"), ("\udcff", "decode")]
)
def test_unusable_key_file_is_refused(
    environment: dict[str, str], tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(click.UsageError, match=f"^--api-key-file: .*{said}"):
        resolve(Flags(api_key_file=str(path)), environment)
    with pytest.raises(click.UsageError, match=f"^CORVO_API_KEY_FILE: .*{said}"):
        resolve(Flags(), {**environment, "CORVO_API_KEY_FILE": str(path)})


@pytest.mark.parametrize(
    ("flags", "variables", "source"),
    [
        ({"server": "x"}, {}, ("--server", True)),
        ({"profile": "production"}, {"CORVO_SERVER": "x"}, ("--profile production", True)),
        ({}, {"CORVO_SERVER": "x"}, ("CORVO_SERVER", False)),
        ({"profile": "keyed"}, {"CORVO_SERVER": "x"}, ("CORVO_SERVER", False)),
        ({}, {}, ("profile local", False)),
        ({"profile": "keyed"}, {}, ("the default", False)),
    ],
)
@pytest.mark.usefixtures("config")
def test_source_of_the_server_is_known(
    environment: dict[str, str],
    flags: dict[str, Any],
    variables: dict[str, str],
    source: tuple[str, bool],
) -> None:
    settings = resolve(Flags(**flags), {**environment, **variables})
    assert (settings.server_source, settings.is_server_option) == source


def test_authority_is_set_by_any_source(config: Path, environment: dict[str, str]) -> None:
    assert resolve(Flags(), environment).ca is None
    config.write_text('profile = "p"\n[profiles.p]\nca = "profile.pem"\n', encoding="utf-8")
    assert resolve(Flags(), environment).ca == "profile.pem"
    environment["CORVO_CA_FILE"] = "variable.pem"
    assert resolve(Flags(), environment).ca == "variable.pem"
    assert resolve(Flags(ca="option.pem"), environment).ca == "option.pem"


@pytest.mark.usefixtures("config")
def test_output_is_set_by_any_source(environment: dict[str, str]) -> None:
    assert resolve(Flags(), environment).output is Format.JSONL
    environment["CORVO_OUTPUT"] = "json"
    assert resolve(Flags(), environment).output is Format.JSON
    assert resolve(Flags(output="table"), environment).output is Format.TABLE


def test_unknown_output_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(click.UsageError, match=r"'xml' is not an output format\. Use one of"):
        resolve(Flags(), {**environment, "CORVO_OUTPUT": "xml"})


@pytest.mark.usefixtures("config")
def test_unknown_profile_lists_the_known_profiles(environment: dict[str, str]) -> None:
    with pytest.raises(click.UsageError, match=r"no profile 'prod' .*: local, production, keyed"):
        resolve(Flags(profile="prod"), environment)


def test_profile_without_a_file_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(click.UsageError, match=r"no profile 'prod' .*\. Known profiles: none"):
        resolve(Flags(profile="prod"), environment)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profile = ", "is not valid TOML"),
        ('server = "http://x"', "unknown key: server. Write settings under"),
        ("profile = 3", r'Write profile = "NAME"'),
        ("profiles = 3", r'Write profile = "NAME"'),
        ("[profiles]\nlocal = 3", r"\[profiles.local\] must be strings"),
        ("[profiles.local]\nserver = 3", r"\[profiles.local\] must be strings"),
        (
            '[profiles.local]\nsever = "x"',
            r"unknown key .*: sever\. Known keys: api_key, api_key_file, ca, codec, output, server",
        ),
        ('[profiles.a]\nserver = "x"\n', None),
    ],
)
def test_error_in_the_file_is_reported(
    environment: dict[str, str], text: str, message: str | None
) -> None:
    Path(environment["CORVO_CONFIG"]).write_text(text, encoding="utf-8")
    if message is None:
        assert resolve(Flags(), environment).profile is None
        return
    with pytest.raises(click.UsageError, match=message):
        resolve(Flags(), environment)


def test_file_that_cannot_be_read_is_an_error(environment: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="Cannot read"):
        resolve(Flags(), {**environment, "CORVO_CONFIG": str(tmp_path)})


def test_file_is_in_the_configuration_directory_of_the_platform() -> None:
    path = config_path({})
    assert path.name == "config.toml"
    assert "corvo" in str(path.parent).lower()


@pytest.mark.usefixtures("config")
def test_profiles_are_listed(environment: dict[str, str]) -> None:
    assert profile_names(environment) == ["local", "production", "keyed"]
