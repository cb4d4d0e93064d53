"""The object that `MODULE:NAME` names in the code of whoever runs the command."""

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
    """Return the worker that `MODULE:NAME` names; of a module alone, the only one in it.

    A name may be that of a function that makes one. The current directory is on the path. What
    goes wrong within the module is raised as it is; for a name that leads nowhere,
    `click.UsageError`.
    """
    from corvo_client.worker import Worker  # noqa: PLC0415 - slow to load

    module_name, _, path = target.partition(":")
    module = _module(module_name)
    if not path:
        return _only_one(module, Worker)
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            raise click.UsageError(f"There is no {path} in {module_name}.")
        found = getattr(found, name)
    if not isinstance(found, Worker) and callable(found):
        found = found()
    if not isinstance(found, Worker):
        raise click.UsageError(f"{target} is no Worker but {type(found).__name__}.")
    return found


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if name.endswith(".py"):
        raise click.UsageError(f"Name the module, not its file: {name.removesuffix('.py')}.")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only when it is the module itself that is missing, not something that it imports.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise click.UsageError(f"There is no module {error.name!r} here or installed.") from error
    except (TypeError, ValueError) as error:
        if name and not name.startswith("."):
            raise
        raise click.UsageError(f"{name!r} is not the name of a module.") from error


def _only_one(module: ModuleType, kind: "type[Worker]") -> "Worker":
    found = {name: value for name, value in vars(module).items() if isinstance(value, kind)}
    workers = list({id(worker): worker for worker in found.values()}.values())
    match workers:
        case [worker]:
            return worker
        case []:
            raise click.UsageError(f"There is no Worker in {module.__name__}.")
        case _:
            choices = " or ".join(f"{module.__name__}:{name}" for name in found)
            raise click.UsageError(f"There are several workers; say {choices}.")
