"""The memory allocator: freed memory goes back to the system."""

import ctypes
import os
import sys
from contextlib import suppress

_MMAP_THRESHOLD = -3
"""The option of `mallopt` with this name."""
_LARGE = 64 * 1024
_VARIABLE = "MALLOC_MMAP_THRESHOLD_"


def return_freed_memory() -> None:
    """Make glibc return every freed block of 64 KB or more to the system at once.

    By default, this size is 128 KB, and glibc raises it up to 32 MB when such blocks are freed.
    Pieces of bodies then share the heap with small objects, and the heap stays as large as it ever
    was: after 100 bodies of 8 MB, the process kept 500 MB. Other allocators ignore this. If the
    operator has set the size in the environment, it stays.
    """
    if sys.platform.startswith("linux") and _VARIABLE not in os.environ:
        with suppress(OSError, AttributeError):  # musl has no mallopt
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)
