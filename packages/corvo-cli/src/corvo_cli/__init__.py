"""The `corvo` command."""

from corvo_cli.__about__ import __version__

__all__ = ["__version__"]
