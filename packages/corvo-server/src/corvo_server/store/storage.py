"""Measures of the disk that a store uses."""

from msgspec import Struct


class Storage(Struct, frozen=True):
    """The files of a store and their disk, as last measured."""

    database_bytes: int
    log_bytes: int
    """Size of the write-ahead log."""
    free_bytes: int
    """Free bytes of the disk."""
    oldest_reader_seconds: float
    """Age of the oldest read under way, or how long a reader has held back the log if longer."""
    failed_checkpoints: int
    """Number of failed checkpoints since the start."""
    room_bytes: int
    """Space that new jobs may take; 0 while they are refused."""
