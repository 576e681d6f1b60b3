"""Entries for journald, by its native protocol: fields in a datagram, or in a sealed memory file if they are many.

Own code, and little: what there is to take from a library waits for journald when that is slow, in the event loop.
"""

import array
import errno
import fcntl
import math
import os
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

SOCKET: Final = Path("/run/systemd/journal/socket")

ROOM: Final = 1 << 20
"""Bytes that wait for a journald that is slow. Beyond, what is less urgent than an error is given up, and counted."""

ROOM_FOR_ERRORS: Final = 2 * ROOM
"""The same for all."""

PATIENCE: Final = 1.0
"""Seconds that one attempt to hand over an entry may take; it is made anew."""

GOODBYE: Final = 2.0
"""Seconds that the end of the program waits for what still waits."""

PRIORITY: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""How urgent each level is, as syslog and the journal count."""

# By number: some builds of Python know memory files but not the names of their seals.
_ADD_SEALS: Final = 1033
_ALL_SEALS: Final = 0b1111

# journald is there and will take it, only not now.
_BUSY: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EINTR})


class Entry(NamedTuple):
    """What the journal is to hold: `data` as pack() makes it; priority and text are for where there is no journal."""

    priority: int
    text: str
    data: bytes


def pack(fields: Iterable[tuple[str, str]]) -> bytes:
    """Fields as journald reads them. Names are of A-Z, 0-9 and _; a value may hold anything.

    Each value is preceded by its length, so that nothing in it ends it. Half a surrogate pair is spelled out.
    """
    parts = []
    for name, value in fields:
        data = value.encode("utf-8", "backslashreplace")
        parts.append(b"%b\n%b%b\n" % (name.encode(), struct.pack("<Q", len(data)), data))
    return b"".join(parts)


class Journal:
    """The way to journald. Nothing here blocks who logs: what it does not take at once, a thread hands over.

    Where no journald listens, the text goes to stderr, each line with its priority in front (`<4>`), as systemd reads it.
    Safe from any thread.
    """

    def __init__(self, program: str, path: Path | None = None) -> None:
        """`program` is named as who says that entries were lost. `path` of the socket: journald's own, unless given."""
        self._program = program
        self._path = str(path or SOCKET)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # For the thread; not settimeout(), with which Python would spin as long as journald is busy.
        patience = struct.pack("ll", int(PATIENCE), 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        self._lock = threading.Lock()
        self._waiting: deque[Entry] = deque()
        self._size = 0
        self._lost = 0
        self._thread: threading.Thread | None = None

    def send(self, entry: Entry) -> None:
        """Hand over an entry, after those that wait. Never waits, never raises."""
        with self._lock:
            # In order: while others wait, or are on their way, this one waits too.
            at_once = self._thread is None and not self._waiting
            if at_once and not self._try(entry.data, socket.MSG_DONTWAIT):
                return
            room = ROOM_FOR_ERRORS if entry.priority <= PRIORITY["error"] else ROOM
            if self._waiting and self._size + len(entry.data) > room:
                self._lost += 1
                return
            self._waiting.append(entry)
            self._size += len(entry.data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._hand_over, name="journal", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # no room for one more, or the program ends: the next one, or drain()
                    self._thread = None

    def drain(self, patience: float = GOODBYE) -> bool:
        """Hand over what waits, for `patience` seconds or little more; returns whether all is gone. Not in the event loop."""
        until = time.monotonic() + patience
        thread = self._thread
        if thread is not None:
            thread.join(patience)
        with self._lock:
            if self._thread is None and self._waiting:
                self._thread = threading.current_thread()
        if self._thread is threading.current_thread():
            self._hand_over(until)
        return self._thread is None and not self._waiting

    def close(self) -> None:
        """Give the socket back; nothing may be sent any more."""
        self._socket.close()

    def _hand_over(self, until: float = math.inf) -> None:
        while True:
            with self._lock:
                if not (self._waiting or self._lost) or time.monotonic() > until:
                    self._thread = None
                    return
                lost = 0 if self._waiting else self._lost
                entry = self._loss() if lost else self._waiting[0]
            problem = self._try(entry.data, 0)
            if problem in _BUSY:
                if problem != errno.EAGAIN:  # of which the kernel has made us wait already
                    time.sleep(PATIENCE)
                continue
            if problem:
                _to_stderr(entry)
            with self._lock:
                if lost:
                    self._lost -= lost
                else:
                    self._waiting.popleft()
                    self._size -= len(entry.data)

    def _loss(self) -> Entry:
        text = f"log events lost count={self._lost}"
        fields = {
            "MESSAGE": text,
            "EVENT": "log events lost",
            "COUNT": str(self._lost),
            "PRIORITY": str(PRIORITY["warning"]),
            "SYSLOG_IDENTIFIER": self._program,
        }
        return Entry(PRIORITY["warning"], text, pack(fields.items()))

    def _try(self, data: bytes, flags: int) -> int:
        """Send it; returns 0, or the number of the error."""
        try:
            # Addressed anew each time, so that a journald that was started again is found.
            self._socket.sendto(data, flags, self._path)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return self._try_as_file(data, flags)
            return error.errno or errno.EIO
        return 0

    def _try_as_file(self, data: bytes, flags: int) -> int:
        try:
            with os.fdopen(os.memfd_create("journal entry", os.MFD_ALLOW_SEALING), "wb") as file:
                file.write(data)
                file.flush()
                # journald takes only what nobody can change any more.
                fcntl.fcntl(file.fileno(), _ADD_SEALS, _ALL_SEALS)
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))
                self._socket.sendmsg([b""], [rights], flags, self._path)
        except OSError as error:
            return error.errno or errno.EIO
        return 0


def _to_stderr(entry: Entry) -> None:
    lines = "".join(f"<{entry.priority}>{line}\n" for line in entry.text.split("\n"))
    with suppress(OSError, ValueError):
        sys.stderr.write(lines)
        sys.stderr.flush()
