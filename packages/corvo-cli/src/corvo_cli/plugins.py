"""Commands of other packages, which announce them as entry points."""

from importlib.metadata import EntryPoint, entry_points
from typing import cast

import click

GROUP = "corvo.commands"


def plugins() -> dict[str, EntryPoint]:
    """Return the commands that other packages announce, by name; nothing is loaded yet."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load(point: EntryPoint) -> click.Command:
    """Load a command."""
    return cast("click.Command", point.load())
