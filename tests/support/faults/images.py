"""Images of a data directory that a power cut may leave, made from a recording.

The model of the disk, which is harsher than a real file system:

- A write to a file is durable once an fsync or fdatasync of that file, begun after the write had
  ended, has succeeded. So is a change of the file's size.
- Of the other writes any subset is missing. Each may be torn: then any of its parts that end at
  512 bytes are missing.
- An entry of the directory (a file created, renamed, removed) is durable once an fsync of the
  directory, begun after the call had ended, has succeeded. Of the other changes any subset has
  happened. An fsync of the file alone does not make its entry durable.
- Files and entries are independent of each other. What has happened is in its order.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from support.faults.recording import Kind, Operation, Recording

SECTOR = 512
_NEVER_READ = "-shm"
"""The end of the name of a file that SQLite makes anew after a crash."""


@dataclass(eq=False)
class _File:
    content: bytearray = field(default_factory=bytearray)
    """What is durable."""
    pending: list[Operation] = field(default_factory=list)


@dataclass(eq=False)
class _EntryChange:
    call: Operation
    file: _File
    added: str | None
    removed: str | None

    def apply(self, entries: dict[str, _File]) -> None:
        """Change the entries of the directory."""
        if self.removed is not None and entries.get(self.removed) is self.file:
            del entries[self.removed]
        if self.added is not None:
            entries[self.added] = self.file


class Disk:
    """The disk under a recorded directory, at one position of the recording."""

    def __init__(self, recording: Recording, root: Path) -> None:
        """Begin before the first call, with an empty directory."""
        self._root = str(root)
        self.position = 0
        steps: list[tuple[int, Callable[[Operation], None], Operation]] = []
        for call in recording.operations:
            if call.kind not in {Kind.SEND, Kind.RECEIVE} and not call.path.endswith(_NEVER_READ):
                steps.append((call.begun, self._begin, call))
                if call.ended is not None:
                    steps.append((call.ended, self._end, call))
        self._steps = sorted(steps, key=lambda step: step[0], reverse=True)
        self._files: dict[int, _File] = {}
        """By inode."""
        self._seen: dict[str, _File] = {}
        """The entries as processes see them, by name."""
        self._entries: dict[str, _File] = {}
        """The durable entries."""
        self._changes: list[_EntryChange] = []

    @property
    def unsynced(self) -> int:
        """The number of writes and changes of entries that are not durable."""
        return sum(len(file.pending) for file in self._files.values()) + len(self._changes)

    def advance(self, position: int) -> None:
        """Go on to a later position: to just after the record there."""
        while self._steps and self._steps[-1][0] <= position:
            _, step, call = self._steps.pop()
            step(call)
        self.position = position

    def seen(self) -> dict[str, bytes]:
        """Return the content of each file as processes see it, by name."""
        return {name: _content(file, list(file.pending)) for name, file in self._seen.items()}

    def image(self, chance: random.Random) -> dict[str, bytes]:
        """Return the content of each file after a power cut now, by name."""
        rate = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        entries = dict(self._entries)
        for change in self._changes:
            if chance.random() < rate:
                change.apply(entries)
        return {
            name: _content(file, _survivors(file.pending, rate, chance))
            for name, file in entries.items()
        }

    def _begin(self, call: Operation) -> None:
        match call.kind:
            case Kind.WRITE | Kind.TRUNCATE | Kind.ALLOCATE:
                self._files[call.inode].pending.append(call)
            case Kind.RENAME:
                new = self._name(call.data.decode())
                self._change(call, added=new, removed=self._name(call.path))
            case Kind.UNLINK:
                self._change(call, added=None, removed=self._name(call.path))

    def _change(self, call: Operation, *, added: str | None, removed: str) -> None:
        file = self._seen.get(removed)
        if file is not None:
            self._changes.append(_EntryChange(call, file, added, removed))

    def _end(self, call: Operation) -> None:
        if call.has_failed:
            self._forget(call)
            return
        match call.kind:
            case Kind.CREATE | Kind.OPEN:
                self._opened(call)
            case Kind.SYNC:
                self._sync(call)
            case Kind.RENAME | Kind.UNLINK:
                for change in self._changes:
                    if change.call is call:
                        change.apply(self._seen)

    def _forget(self, call: Operation) -> None:
        self._changes = [change for change in self._changes if change.call is not call]
        file = self._files.get(call.inode)
        if file is not None and call in file.pending:
            file.pending.remove(call)

    def _opened(self, call: Operation) -> None:
        name = self._name(call.path)
        file = self._seen.get(name)
        if file is None or self._files.get(call.inode) is not file:
            # A new file. Its inode may be that of an earlier one, which was removed.
            file = self._files[call.inode] = _File()
            change = _EntryChange(call, file, added=name, removed=None)
            change.apply(self._seen)
            self._changes.append(change)
        elif call.offset == 0:
            file.pending.append(call)  # was opened with O_TRUNC

    def _sync(self, call: Operation) -> None:
        if call.path == self._root:
            covered = [change for change in self._changes if _covers(call, change.call)]
            for change in covered:
                change.apply(self._entries)
                self._changes.remove(change)
            return
        file = self._files[call.inode]
        for write in [write for write in file.pending if _covers(call, write)]:
            _apply(write, file.content)
            file.pending.remove(write)

    def _name(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        assert folder == self._root, f"{path} is not directly in {self._root}"
        return name


def write_image(image: dict[str, bytes], folder: Path) -> None:
    """Write the files of an image to an empty directory."""
    for name, content in image.items():
        path = folder / name
        path.write_bytes(content)
        path.chmod(0o600)


def _covers(sync: Operation, write: Operation) -> bool:
    return write.ended is not None and write.ended < sync.begun


def _content(file: _File, writes: list[Operation]) -> bytes:
    content = bytearray(file.content)
    for write in writes:
        _apply(write, content)
    return bytes(content)


def _apply(call: Operation, content: bytearray) -> None:
    _resize(content, call.offset, keeps_larger=call.kind in {Kind.ALLOCATE, Kind.WRITE})
    if call.kind is Kind.WRITE:
        content[call.offset : call.offset + len(call.data)] = call.data


def _resize(content: bytearray, size: int, *, keeps_larger: bool) -> None:
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    elif not keeps_larger:
        del content[size:]


def _survivors(writes: list[Operation], rate: float, chance: random.Random) -> list[Operation]:
    found: list[Operation] = []
    for write in writes:
        if chance.random() < rate:
            found.append(write)
        elif write.kind is Kind.WRITE and chance.random() < 0.3:
            found += [part for part in _sectors(write) if chance.random() < 0.5]
    return found


def _sectors(write: Operation) -> list[Operation]:
    """Return the parts of a write that a power cut does not tear."""
    end = write.offset + len(write.data)
    first = write.offset - write.offset % SECTOR + SECTOR
    cuts = [write.offset, *range(first, end, SECTOR), end]
    return [
        replace(write, offset=start, data=write.data[start - write.offset : stop - write.offset])
        for start, stop in pairwise(cuts)
    ]
