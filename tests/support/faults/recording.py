"""What a server did to its files and on its sockets, in order, as `record.c` wrote it down."""

import re
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

_HEADER = struct.Struct("=ccHIIiQqq")
"""The `struct record` of record.c."""
_REQUEST_ID = re.compile(rb"\r\nx-request-id: *([^\r]+)\r\n", re.IGNORECASE)


class Kind(StrEnum):
    """The kinds of calls that are recorded."""

    WRITE = "w"
    TRUNCATE = "t"
    ALLOCATE = "a"
    SYNC = "s"
    CREATE = "o"
    OPEN = "O"
    """An existing file is opened with O_CREAT or O_TRUNC."""
    RENAME = "r"
    UNLINK = "u"
    SEND = ">"
    RECEIVE = "<"


@dataclass(slots=True)
class Operation:
    """One call. `begun` and `ended` are positions in the recording."""

    kind: Kind
    begun: int
    ended: int | None
    """None if the process was killed during the call."""
    thread: int
    fd: int
    inode: int
    """The inode of the file, directory or socket; 0 if the call names a path only."""
    path: str
    offset: int
    """Where a write begins; the new size of a truncated or allocated file."""
    data: bytes
    """The bytes written, sent or received; the new name of a renamed file."""
    result: int | None

    @property
    def has_failed(self) -> bool:
        """Whether the call returned an error."""
        return self.result is not None and self.result < 0

    def is_between(self, start: int, end: int) -> bool:
        """Return whether the whole call lies between two positions."""
        return self.begun > start and self.ended is not None and self.ended < end


class Recording:
    """The calls of one or more server processes, ordered by their begin."""

    def __init__(self, operations: list[Operation], length: int) -> None:
        """`length` is the number of positions."""
        self.operations = operations
        self.length = length

    @cached_property
    def arrivals(self) -> Mapping[str, int]:
        """The position at which each request had arrived, by its X-Request-ID."""
        return {
            name: operation.ended
            for operation in self.operations
            if operation.kind is Kind.RECEIVE and operation.ended is not None
            for name in _request_ids(operation.data)
        }

    @cached_property
    def replies(self) -> Mapping[str, int]:
        """The position at which the first byte of a successful reply was sent, by X-Request-ID."""
        found: dict[str, int] = {}
        for operation in self.operations:
            if operation.kind is Kind.SEND and operation.data.startswith(b"HTTP/1.1 2"):
                for name in _request_ids(operation.data):
                    found.setdefault(name, operation.begun)
        return found


def read_recording(path: Path) -> Recording:
    """Return what the file has recorded."""
    operations: list[Operation] = []
    running: defaultdict[int, list[Operation]] = defaultdict(list)
    content = path.read_bytes()
    position = offset = 0
    while offset < len(content):
        phase, kind, path_size, data_size, thread, fd, inode, at, result = _HEADER.unpack_from(
            content, offset
        )
        offset += _HEADER.size
        name = content[offset : offset + path_size].decode()
        offset += path_size
        data = content[offset : offset + data_size]
        offset += data_size
        if phase == b"B":
            operation = Operation(
                Kind(kind.decode()), position, None, thread, fd, inode, name, at, data, None
            )
            running[thread].append(operation)  # a signal handler writes during another call
            operations.append(operation)
        else:
            _end(running[thread].pop(), position, fd, inode, at, data, result)
        position += 1
    return Recording(operations, position)


def _end(
    operation: Operation, position: int, fd: int, inode: int, at: int, data: bytes, result: int
) -> None:
    operation.ended, operation.result = position, result
    operation.fd, operation.inode, operation.offset = fd, inode, at
    if operation.kind is Kind.WRITE:
        operation.data = operation.data[: max(0, result)]
    elif operation.kind is Kind.RECEIVE:
        operation.data = data


def _request_ids(data: bytes) -> Iterator[str]:
    return (found.decode() for found in _REQUEST_ID.findall(data))
