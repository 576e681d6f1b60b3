"""Frames that are found by what they begin with, by their length, or by their checksum: no delimiter is sure.

The engine of the kinds `fixed`, `length-prefix` and `start-end`. Where a frame could begin, it is measured, and taken
if it is whole and its checksum right. If not, that was a false start: one byte is given up, and the search goes on
right behind it, so that a good frame which the false one had swallowed is found.
"""

from typing import Final

from devices.errors import SettingError
from devices.framing.checksum import WRONG, Checksum
from devices.framing.common import KEPT, Counts, Damaged, Garbage

TRIES: Final = 8
"""How often a byte may be in a frame that proves false, on the average. Each try is a checksum over a whole frame: a
stream made for it (or a stretch of one value) could have one begin at every byte. Beyond that, false frames are given
up whole, which keeps the work linear in the bytes."""

NOWHERE: Final = "no frame begins here: noise, a wrong baud rate, or another framing than the one set"


class Scanned:
    """See common.Framing. A subclass says how long frames are, and what is in them."""

    impossible = NOWHERE
    """Why there is no frame where _measure() finds none."""

    def __init__(self, start: bytes, max_frame: int, check: Checksum | None, gap: float) -> None:
        """`start` are the bytes that every frame begins with; `max_frame` counts all bytes of a frame."""
        self.checked = check is not None
        self.gap = gap
        self._start = start
        self._max_frame = max_frame
        self._check = check
        self._buffer = bytearray()
        self.counts = Counts()
        self._garbage = Garbage(self.counts)
        self._most_credit = TRIES * max(max_frame, KEPT)  # so that short frames are found behind much noise
        self._credit = self._most_credit  # bytes that may still be tried in vain
        self._blamed = 0  # the buffer's bytes before this place belong to damage that was counted already

    @property
    def held(self) -> int:
        """See common.Framing."""
        return len(self._buffer) + self._garbage.kept

    def push(self, data: bytes) -> list[bytes | Damaged]:
        """See common.Framing."""
        out: list[bytes | Damaged] = []
        reports = self._garbage.reports
        self._buffer += data
        self._consume(self._scan(out))
        self.counts.bytes += len(data)
        self.counts.frames += len(out) - (self._garbage.reports - reports)
        return out

    def reset(self, reason: str) -> list[bytes | Damaged]:
        """See common.Framing."""
        out: list[bytes | Damaged] = []
        reports = self._garbage.reports
        self._consume(self._scan(out, reason))
        self._garbage.forget(out)
        self._credit = self._most_credit
        self.counts.frames += len(out) - (self._garbage.reports - reports)
        return out

    def _measure(self, at: int) -> int:
        """Bytes of the frame that begins at `at` in the buffer with `start`; 0 if that shows only in what follows.

        Below zero: no frame begins in the next so many bytes. Depends on the bytes from `at` on and on nothing else.
        """
        raise NotImplementedError

    def _content(self, raw: bytes) -> bytes | str:
        """What a whole frame hands on, or why it is none, in words."""
        if self._check is None:
            return raw
        body = self._check.strip(raw)
        return WRONG if body is None else body

    def _scan(self, out: list[bytes | Damaged], cut: str = "") -> int:
        """Take all frames that are whole; returns how many bytes are done with. With `cut` no more bytes will come."""
        buffer = self._buffer
        at, end = 0, len(buffer)
        while at < end:
            found = buffer.find(self._start, at)
            if found < 0:
                found = end if cut else max(at, end - len(self._start) + 1)
                self._give_up(at, found, NOWHERE, out)
                return found
            self._give_up(at, found, NOWHERE, out)
            at = found
            size = self._measure(at)
            if size < 0:
                if self._start and self._blame(at, at - size):
                    self.counts.malformed += 1
                self._give_up(at, at - size, self.impossible, out)
                at -= size
            elif 0 < size <= end - at:
                at += self._try(at, size, out)
            elif cut:
                if self._blame(at, end):
                    self.counts.cut_short += 1
                self._give_up(at, at + 1, cut, out)
                at += 1
            else:
                return at
        return at

    def _try(self, at: int, size: int, out: list[bytes | Damaged]) -> int:
        """Take the frame at `at`, or give up its beginning; returns how many bytes are done with."""
        content = self._content(bytes(self._buffer[at : at + size]))
        if isinstance(content, bytes):
            self._garbage.end(out)
            out.append(content)
            self._earn(size)
            self._blamed = 0
            return size
        if self._blame(at, at + size):
            if content is WRONG:
                self.counts.checksum_errors += 1
            else:
                self.counts.malformed += 1
        self._credit -= size
        given_up = 1 if self._credit > 0 else size
        self._give_up(at, at + given_up, content, out)
        return given_up

    def _blame(self, at: int, to: int) -> bool:
        """Whether what is wrong from `at` to `to` is to be counted: not if it begins inside of what was counted."""
        if at < self._blamed:
            return False
        self._blamed = to
        return True

    def _give_up(self, at: int, to: int, reason: str, out: list[bytes | Damaged]) -> None:
        self._earn(to - at)
        while at < to:
            upto = min(to, at + self._garbage.room)
            self._garbage.add(bytes(self._buffer[at:upto]), reason, out)
            at = upto

    def _earn(self, size: int) -> None:
        self._credit = min(self._credit + TRIES * size, self._most_credit)

    def _consume(self, size: int) -> None:
        del self._buffer[:size]
        self._blamed = max(0, self._blamed - size)


def check_findable(start: bytes, check: Checksum | None, key: str) -> None:
    """Refuse frames that could not be found again once a byte is lost: every one after it would be wrong.

    Raises:
        SettingError: neither `start` nor `checksum` is good enough.
    """
    if not start and not (check and check.finds):
        raise SettingError(
            key,
            "one lost byte would shift all frames after it: set `start` to the bytes that each frame begins with, or a "
            "`checksum` of crc16-modbus, crc16-ibm-3740, crc16-ibm-sdlc or crc32",
        )
