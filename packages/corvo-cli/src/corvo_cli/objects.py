"""Import the worker that `MODULE:NAME` names."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from corvo_client.worker import Worker


def find_worker(target: str) -> "Worker":
    """Return the worker that `MODULE:NAME` names, or the only worker of `MODULE`.

    NAME may also be a function that returns a worker. The current directory is importable.
    Raises `click.UsageError` if the target does not exist. Exceptions of the module propagate.
    """
    from corvo_client.worker import Worker  # noqa: PLC0415 - slow to load

    module_name, _, path = target.partition(":")
    module = _module(module_name)
    if not path:
        return _only_one(module, Worker)
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            raise click.UsageError(
                f"Module {module_name} has no attribute {path!r}. Check the name."
            )
        found = getattr(found, name)
    if not isinstance(found, Worker) and callable(found):
        found = found()
    if not isinstance(found, Worker):
        raise click.UsageError(
            f"{target} is of type {type(found).__name__}. Name a Worker, or a function that "
            "returns one."
        )
    return found


def _module(name: str) -> ModuleType:
    try:
        here = str(Path.cwd())
    except OSError as error:
        raise click.UsageError("The current directory does not exist any more.") from error
    if here not in sys.path:
        sys.path.insert(0, here)
    if name.endswith(".py"):
        raise click.UsageError(
            f"{name!r} is a file name. Give the name of the module: {name.removesuffix('.py')}."
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Report only a missing target. A missing import within the module is an error of its own.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise click.UsageError(
            f"There is no module {error.name!r} in the current directory or installed. Check the "
            "name and the directory."
        ) from error
    except (TypeError, ValueError) as error:
        if name and not name.startswith("."):
            raise
        raise click.UsageError(
            f"{name!r} is not a module name. Give a name like app.tasks."
        ) from error


def _only_one(module: ModuleType, kind: "type[Worker]") -> "Worker":
    found = {name: value for name, value in vars(module).items() if isinstance(value, kind)}
    workers = list({id(worker): worker for worker in found.values()}.values())
    match workers:
        case [worker]:
            return worker
        case []:
            raise click.UsageError(f"Module {module.__name__} defines no Worker.")
        case _:
            choices = " or ".join(f"{module.__name__}:{name}" for name in found)
            raise click.UsageError(
                f"Module {module.__name__} has several workers. Choose one: {choices}."
            )
