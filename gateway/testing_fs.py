"""A file system in memory for tests of the spool: fails as told, and can show every state a power cut may leave."""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

_T = TypeVar("_T")

MANY: Final = 4
"""Up to so many unsynced operations every subset of them is a state; of more, only prefixes and those less one."""


class _Write(NamedTuple):
    offset: int
    data: bytes


class _Cut(NamedTuple):
    size: int


@dataclass(eq=False)
class _Node:
    """A file: as programs see it, as it is after a power cut at the least, and what is between the two."""

    now: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[_Write | _Cut] = field(default_factory=list)
    doubtful: list[_Write | _Cut] = field(default_factory=list)


class _Entry(NamedTuple):
    """A change of the folder: `name` now means `node`, or nothing."""

    name: str
    node: _Node | None


class FaultFiles:
    """gateway.spool.fs.Files in memory.

    Attributes:
        hook: called before each operation with its name (`open`, `write`, `datasync`, `read`, `truncate`, `unlink`,
            `sync_dir`) and the file's; an OSError that it raises is the operation's. See failing().
        after: called after each operation that changed something: a moment at which the power may go.
        room: bytes that all files may take together; a write beyond it is cut short and raises ENOSPC.
        trace: every changing operation so far, as text.
        written: bytes written so far.
    """

    def __init__(self, contents: dict[str, bytes] | None = None) -> None:
        """`contents`: files that are there, durable."""
        self.hook: Callable[[str, str], None] = lambda _, __: None
        self.after: Callable[[], None] = lambda: None
        self.room: int | None = None
        self.trace: list[str] = []
        self.written = 0
        self._now = {name: _Node(bytearray(data), bytearray(data)) for name, data in (contents or {}).items()}
        self._durable = dict(self._now)
        self._entries: list[_Entry] = []
        self._vanished = False

    def open(self, name: str) -> "FaultFile":
        """See gateway.spool.fs.Files."""
        self.hook("open", name)
        if self._vanished:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if name not in self._now:
            self._enter(name, _Node())
            self._done("make", name)
        return FaultFile(self, name, self._now[name])

    def names(self) -> list[str]:
        """See gateway.spool.fs.Files."""
        return list(self._now)

    def size(self, name: str) -> int:
        """See gateway.spool.fs.Files."""
        return len(self._node(name).now)

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See gateway.spool.fs.Files."""
        self.hook("read", name)
        return bytes(self._node(name).now[offset : offset + length])

    def truncate(self, name: str, size: int) -> None:
        """See gateway.spool.fs.Files."""
        self.hook("truncate", name)
        node = self._node(name)
        del node.now[size:]
        node.unsynced.append(_Cut(size))
        self._done("truncate", name)
        sync(node)
        self._done("datasync", name)

    def unlink(self, name: str) -> None:
        """See gateway.spool.fs.Files."""
        self.hook("unlink", name)
        self._node(name)
        self._enter(name, None)
        self._done("unlink", name)

    def sync_dir(self) -> None:
        """See gateway.spool.fs.Files."""
        self.hook("sync_dir", "")
        self._durable = dict(self._now)
        self._entries.clear()
        self._done("sync_dir", "")

    def restore(self) -> bool:
        """See gateway.spool.fs.Files."""
        was, self._vanished = self._vanished, False
        return was

    def close(self) -> None:
        """See gateway.spool.fs.Files."""

    def vanish(self) -> None:
        """Somebody deletes the folder with all that is in it."""
        self._vanished = True
        self._now.clear()
        self._durable.clear()
        self._entries.clear()

    def flip(self, name: str, offset: int, bits: int = 0xFF) -> None:
        """Damage one byte, durably."""
        node = self._node(name)
        node.now[offset] ^= bits
        if offset < len(node.durable):
            node.durable[offset] ^= bits

    def contents(self) -> dict[str, bytes]:
        """All files as programs see them."""
        return {name: bytes(node.now) for name, node in self._now.items()}

    def crash_states(self, sector: int = 512) -> Iterator[dict[str, bytes]]:
        """Every state that a power cut at this moment may leave: for a new FaultFiles.

        Each unsynced write is there, gone, or torn at a multiple of `sector`, whatever happened to the others; each
        unsynced change of the folder is there or not. Of more than MANY, see there.
        """
        nodes = {id(node): node for node in (*self._now.values(), *self._durable.values())}
        nodes |= {id(entry.node): entry.node for entry in self._entries if entry.node is not None}
        variants = [[(key, data) for data in _survivors(node, sector)] for key, node in nodes.items()]
        for entries in _subsets(self._entries):
            folder = dict(self._durable)
            for name, node in entries:
                if node is None:
                    folder.pop(name, None)
                else:
                    folder[name] = node
            there = {id(node) for node in folder.values()}
            for chosen in itertools.product(*(v for v in variants if v[0][0] in there)):
                data = dict(chosen)
                yield {name: data[id(node)] for name, node in folder.items()}

    def put(self, node: _Node, name: str, data: bytes, offset: int) -> None:
        """Write into `node`, as far as there is room; for FaultFile."""
        full = False
        if self.room is not None:
            free = self.room - sum(len(other.now) for other in self._now.values())
            fits = max(0, len(node.now) - offset + free)
            full = len(data) > fits
            data = data[:fits]
        node.now.extend(bytes(max(0, offset - len(node.now))))
        node.now[offset : offset + len(data)] = data
        node.unsynced.append(_Write(offset, data))
        self.written += len(data)
        self._done("write", name)
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def synced(self, name: str, node: _Node) -> None:
        """Note it; for FaultFile. Raises FileNotFoundError if the file was deleted meanwhile."""
        if self._now.get(name) is not node:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._done("datasync", name)

    def _node(self, name: str) -> _Node:
        try:
            return self._now[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None

    def _enter(self, name: str, node: _Node | None) -> None:
        self._entries.append(_Entry(name, node))
        if node is None:
            del self._now[name]
        else:
            self._now[name] = node

    def _done(self, operation: str, name: str) -> None:
        self.trace.append(f"{operation} {name}".rstrip())
        self.after()


class FaultFile:
    """gateway.spool.fs.File of a FaultFiles."""

    def __init__(self, files: FaultFiles, name: str, node: _Node) -> None:
        self._files = files
        self._name = name
        self._node = node

    def write(self, data: bytes, offset: int) -> None:
        """See gateway.spool.fs.File."""
        try:
            self._files.hook("write", self._name)
        except OSError:
            self._files.put(self._node, self._name, data[: len(data) // 2], offset)
            raise
        self._files.put(self._node, self._name, data, offset)

    def datasync(self) -> None:
        """See gateway.spool.fs.File. If it fails, what was written is doubtful for ever, as on a real kernel."""
        node = self._node
        try:
            self._files.hook("datasync", self._name)
        except OSError:
            node.doubtful += node.unsynced
            node.unsynced.clear()
            raise
        sync(node)
        self._files.synced(self._name, node)

    def close(self) -> None:
        """See gateway.spool.fs.File."""


def failing(operation: str, number: int, *, times: int = 1, name: str = "") -> Callable[[str, str], None]:
    """A hook: the next `times` of such operations (on files whose name contains `name`) fail with errno `number`."""
    left = times

    def hook(at: str, of: str) -> None:
        nonlocal left
        if at == operation and name in of and left:
            left -= 1
            raise OSError(number, os.strerror(number))

    return hook


def read_only(operation: str, _: str) -> None:
    """A hook: nothing can be changed."""
    if operation != "read":
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def sync(node: _Node) -> None:
    """What is unsynced becomes durable."""
    for one in node.unsynced:
        _apply(node.durable, one)
    node.unsynced.clear()


def _apply(data: bytearray, one: _Write | _Cut) -> None:
    if isinstance(one, _Cut):
        del data[one.size :]
    else:
        data.extend(bytes(max(0, one.offset - len(data))))
        data[one.offset : one.offset + len(one.data)] = one.data


def _survivors(node: _Node, sector: int) -> list[bytes]:
    """What the file may hold after a power cut, each possibility once."""
    found: dict[bytes, None] = {}
    for chosen in _subsets(node.doubtful + node.unsynced):
        for variant in _torn(chosen, sector):
            data = bytearray(node.durable)
            for one in variant:
                _apply(data, one)
            found[bytes(data)] = None
    return list(found)


def _torn(chosen: list[_Write | _Cut], sector: int) -> Iterator[list[_Write | _Cut]]:
    """The operations whole, and with the last of them torn: its beginning alone, its end alone, its end as zeros."""
    yield chosen
    if not chosen or not isinstance(last := chosen[-1], _Write):
        return
    for at in range(sector, len(last.data), sector):
        head, rest = last.data[:at], last.data[at:]
        yield [*chosen[:-1], _Write(last.offset, head)]
        yield [*chosen[:-1], _Write(last.offset + at, rest)]
        yield [*chosen[:-1], _Write(last.offset, head + bytes(len(rest)))]


def _subsets(operations: list[_T]) -> Iterator[list[_T]]:
    if len(operations) <= MANY:
        for count in range(len(operations) + 1):
            yield from map(list, itertools.combinations(operations, count))
        return
    for count in range(len(operations) + 1):
        yield operations[:count]
        if count < len(operations) - 1:
            yield operations[:count] + operations[count + 1 :]
