"""The version of this package, read by hatch at build time."""

__version__ = "1.0.0"
