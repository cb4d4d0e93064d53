"""Commands that other packages register as entry points."""

from typing import TYPE_CHECKING, cast

import click

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "corvo.commands"


def plugins() -> "dict[str, EntryPoint]":
    """Return the registered commands by name, without importing them."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to load

    return {point.name: point for point in entry_points(group=GROUP)}


def load(point: "EntryPoint") -> click.Command:
    """Import a command."""
    return cast("click.Command", point.load())
