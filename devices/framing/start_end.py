"""Frames between a start and an end: `02 ... 03`, `7e ... 7e`, `10 02 ... 10 03`. What is handed on stands between.

With an `escape`, start and end bytes inside a frame are marked: the byte behind the escape is taken as it is, or
exclusive-or `escape_xor` (PPP and HDLC: escape 7d, xor 20). Without one they may not occur inside; with a checksum a
start byte may all the same, because a frame that begins at the wrong one is found wrong and the next is tried.

Where start and end are the same they are a delimiter: one of them may stand between two frames, or several.

A frame without its end, then a whole one: `02 31 32 02 33 34 03`. Only what stands between the last start and the end
is a frame.
"""

from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from devices.errors import SettingError
from devices.framing.checksum import WRONG, Checksum
from devices.framing.common import Framing, hex_bytes
from devices.framing.delimited import Delimited
from devices.framing.scanned import Scanned

_NOT_MARKED: Final = "an escape byte without the byte that it marks: damaged on the way"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What its frames begin and end with.

    Attributes:
        start, end: in hex.
        escape: the byte that marks a start, end or escape byte inside a frame, in hex; empty: none does.
        escape_xor: what the marked byte is changed by.
        checksum: at the end of each frame; see checksum.py. It covers `start` as well, if its `skip` is 0.
        checksum_after_end: it stands behind the end bytes, and covers them.
        gap: seconds of quiet in mid-frame after which it counts as cut short; 0: none.
    """

    start: str
    end: str
    escape: str = ""
    escape_xor: Annotated[int, Meta(ge=0, le=255)] = 0
    checksum: str | dict[str, Any] = ""
    checksum_after_end: bool = False
    gap: Annotated[float, Meta(ge=0, le=3600)] = 1.0


class _Marks(NamedTuple):
    """What its frames are made of."""

    start: bytes
    end: bytes
    escape: bytes
    xor: int
    trailer: int


def framing(settings: Settings, key: str, check: Checksum | None, max_frame: int) -> Framing:
    """See make_framing."""
    start = hex_bytes(settings.start, f"{key}.start")
    end = hex_bytes(settings.end, f"{key}.end")
    escape = hex_bytes(settings.escape, f"{key}.escape", 1)
    for name, found in (("start", start), ("end", end)):
        if not found:
            raise SettingError(f"{key}.{name}", "is empty: it takes one byte or more, in hex")
        if escape and found.endswith(escape):
            raise SettingError(f"{key}.{name}", "ends with the escape byte: it would mark what follows")
    if settings.checksum_after_end and (check is None or start == end):
        problem = "takes a `checksum`, and an `end` that is not the same as `start`"
        raise SettingError(f"{key}.checksum_after_end", problem)
    xor = settings.escape_xor
    if start == end:
        if escape and not xor:
            problem = "is needed: with `start` and `end` the same, what is marked must not look like them"
            raise SettingError(f"{key}.escape_xor", problem)
        return Delimited(end, max_frame, check, lambda raw: _unescape(raw, escape, xor) if raw else None)
    trailer = check.size if check and settings.checksum_after_end else 0
    return StartEnd(_Marks(start, end, escape, xor, trailer), check, max_frame, settings.gap)


def _unescape(body: bytes, escape: bytes, xor: int) -> bytes | str:
    """The frame that `body` stands for, or why it is none."""
    if not escape or escape not in body:
        return body
    plain = bytearray()
    at = 0
    while (mark := body.find(escape, at)) >= 0:
        if mark + 1 == len(body):
            return _NOT_MARKED
        plain += body[at:mark]
        plain.append(body[mark + 1] ^ xor)
        at = mark + 2
    return bytes(plain + body[at:])


class StartEnd(Scanned):
    """See common.Framing."""

    impossible = "cut short: a start without its end, or a frame of more than `max_frame` bytes"

    def __init__(self, marks: _Marks, check: Checksum | None, max_frame: int, gap: float) -> None:
        super().__init__(marks.start, max_frame, check, gap)
        _, self._end, self._escape, self._xor, self._trailer = marks
        # A start inside a frame is a new frame, unless only the checksum can say so.
        self._last_start_counts = bool(marks.escape) or check is None
        self._searched = 0  # no end begins before this place in the buffer

    def _measure(self, at: int) -> int:
        inside = at + len(self._start)
        end = self._find_end(inside)
        size = end + len(self._end) + self._trailer - at if end >= 0 else 0
        if 0 < size <= self._max_frame:
            latest = self._last_start(at + 1, end) if self._last_start_counts else -1
            return size if latest < 0 else at - latest
        if len(self._buffer) - at < self._max_frame:
            return 0
        # Too long. Each further start in there would have to be looked at for as long: only the last one is.
        latest = self._last_start(at + 1, at + self._max_frame)
        return -len(self._start) if latest < 0 else at - latest

    def _content(self, raw: bytes) -> bytes | str:
        close = len(raw) - self._trailer - len(self._end)
        body = _unescape(raw[len(self._start) : close], self._escape, self._xor)
        if isinstance(body, str):
            return body
        if self._check is None:
            return body
        behind = raw[close:] if self._trailer else b""
        whole = self._check.strip(self._start + body + behind)
        if whole is None:
            return WRONG
        return whole[len(self._start) : len(whole) - (len(self._end) if self._trailer else 0)]

    def _find_end(self, at: int) -> int:
        """Where the first end from `at` on begins; -1 if there is none yet."""
        found = self._buffer.find(self._end, max(at, self._searched))
        while found >= 0 and self._is_escaped(found):
            found = self._buffer.find(self._end, found + 1)
        self._searched = found if found >= 0 else max(0, len(self._buffer) - len(self._end) + 1)
        return found

    def _last_start(self, at: int, to: int) -> int:
        """Where the last start between `at` and `to` begins; -1 if there is none."""
        found = self._buffer.rfind(self._start, at, to)
        while found >= 0 and self._is_escaped(found):
            found = self._buffer.rfind(self._start, at, found + len(self._start) - 1)
        return found

    def _is_escaped(self, at: int) -> bool:
        """Whether an escape byte in force stands before `at`: of several in a row each marks the next."""
        if not self._escape or self._xor:  # changed bytes cannot be taken for others
            return False
        mark, first = self._escape[0], at
        while first and self._buffer[first - 1] == mark:
            first -= 1
        return (at - first) % 2 == 1

    def _consume(self, size: int) -> None:
        super()._consume(size)
        self._searched = max(0, self._searched - size)
