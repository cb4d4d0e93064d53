"""The command line of the server: every setting is an option and a variable of the environment."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from corvo_server import logs
from corvo_server.__about__ import __version__
from corvo_server.serve import BindError, serve
from corvo_server.settings import Settings, defaults, variable_of
from corvo_server.store.migrate import NewerSchemaError
from corvo_server.store.sqlite.database import DataDirLockedError

F = TypeVar("F", bound=Callable[..., Any])


def _options_of_settings(command: F) -> F:
    """An option for each setting, in their order."""
    shown = defaults()
    for name, field in reversed(Settings.model_fields.items()):
        kind = field.annotation
        choices = list(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else []
        default = shown[name] or "none"
        command = click.option(
            f"--{name.replace('_', '-')}",
            name,
            metavar="|".join(choices) or "VALUE",
            help=f"{field.description}  [{variable_of(name)}; default: {default}]",
        )(command)
    return command


@click.command(context_settings={"max_content_width": 100})
@_options_of_settings
@click.version_option(__version__, prog_name="corvo-server")
def server(**options: str | None) -> None:
    """Run a Corvo server on one SQLite file, until SIGTERM or SIGINT.

    Every option can also be given in the environment, under the name in brackets; an option wins.
    """
    settings = _read_settings({name: value for name, value in options.items() if value is not None})
    logs.configure(settings.log_level, settings.log_format)
    try:
        serve(settings)
    except (BindError, DataDirLockedError, NewerSchemaError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"Cannot use {settings.data_dir}: {error}") from error


def _read_settings(options: dict[str, Any]) -> Settings:
    try:
        return Settings(**options)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        message = problem["msg"].removeprefix("Value error, ")
        source = f"--{name.replace('_', '-')}" if name in options else variable_of(name)
        raise click.UsageError(f"{source}: {message}") from error
