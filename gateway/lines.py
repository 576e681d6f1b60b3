"""Lines that wait for somebody who takes them as fast as he can."""

from collections import deque
from typing import Final

TURN: Final = 65_536
"""Bytes handed over in one go; a whole line is always."""


class Lines:
    """A queue of lines. Whoever adds keeps within the room that he has.

    Attributes:
        size: bytes that wait.
    """

    def __init__(self) -> None:
        self.size = 0
        self._lines: deque[bytes] = deque()

    def add(self, line: bytes) -> None:
        """One more, at the end."""
        self._lines.append(line)
        self.size += len(line)

    def take(self) -> bytes:
        """Those that come next, of some TURN bytes; nothing if there are none."""
        taken, size = [], 0
        while self._lines and size < TURN:
            line = self._lines.popleft()
            taken.append(line)
            size += len(line)
        self.size -= size
        return b"".join(taken)
