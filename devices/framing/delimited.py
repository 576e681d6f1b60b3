"""Frames with a delimiter between them, which no frame contains: after damage the next one begins at the next delimiter.

The engine of the kinds `line`, `delimiter`, `slip` and `cobs`. Text lines are by far the most frequent of them, so
whole chunks are cut by one split() where that can be.
"""

from collections.abc import Callable

from devices.framing import common
from devices.framing.checksum import WRONG, Checksum
from devices.framing.common import KEPT, Counts, Damaged, Garbage

Unpack = Callable[[bytes], bytes | str | None]
"""What stands between two delimiters -> the frame; or why it is none, in words; or None if there is nothing."""


class Delimited:
    r"""See common.Framing.

    A frame of more than `max_frame` bytes, as they come and without the delimiter, becomes one Damaged when it ends,
    with its true size, and the next one is read as usual. A frame that has not ended after UNENDING bytes is reported
    then and after every further UNENDING bytes; these later parts, the last one included, carry their size only.
    """

    gap = 0.0
    strip = b""
    """Taken from the end of each frame."""
    too_long = "a frame of more than {} bytes: wrong baud rate, or a device that sends other delimiters"

    def __init__(
        self, delimiter: bytes, max_frame: int, check: Checksum | None = None, decode: Unpack | None = None
    ) -> None:
        """`decode` undoes the encoding of a frame, before its checksum is taken off."""
        self.checked = check is not None
        self._delimiter = delimiter
        self._unpack = _unpack_checked(check, decode) if check else decode
        self._max_frame = max_frame
        self._kept = min(max_frame, KEPT)
        self._too_long = self.too_long.format(max_frame)
        self.counts = Counts()
        self._garbage = Garbage(self.counts)
        self._split = b""  # the end of the last chunk, if it can be the first bytes of a delimiter
        self._buffer = bytearray()  # the frame under way: all of it, or its beginning once it is too long
        self._size = 0  # bytes of that frame, kept or not, that no Damaged has reported yet
        self._reported = False  # whether a Damaged has reported its beginning

    @property
    def held(self) -> int:
        """See common.Framing."""
        return len(self._buffer) + len(self._split) + self._garbage.kept

    def push(self, data: bytes) -> list[bytes | Damaged]:
        """See common.Framing."""
        out: list[bytes | Damaged] = []
        reports = self._garbage.reports
        frames = (self._split + data).split(self._delimiter)
        tail = self._hold_back(frames.pop())
        if frames:
            self._extend(frames[0], out)
            self._finish(out)
            del frames[0]
        # One look at a chunk instead of one at each frame: short lines come 50,000 to the megabyte.
        if (
            len(data) + len(self._delimiter) > self._max_frame
            and frames
            and max(map(len, frames)) > self._max_frame
        ):
            for frame in frames:
                self._extend(frame, out)
                self._finish(out)
        elif frames:
            self._hand_over(frames, out)
        self._extend(tail, out)
        self.counts.bytes += len(data)
        self.counts.frames += len(out) - (self._garbage.reports - reports)
        return out

    def reset(self, reason: str) -> list[bytes | Damaged]:
        """See common.Framing."""
        out: list[bytes | Damaged] = []
        self._extend(self._split, out)
        if self._size:
            if self._size > self._max_frame:
                self._count_too_long()
            elif not self._reported:
                self.counts.cut_short += 1
            self._garbage.add_whole(Damaged(bytes(self._buffer[: self._kept]), reason, self._size), out)
        self._garbage.forget(out)
        self._split = b""
        self._clear()
        return out

    def _hold_back(self, tail: bytes) -> bytes:
        """Keep the end of `tail` for the next push if it may be the beginning of a delimiter; returns the rest."""
        sizes = range(min(len(self._delimiter) - 1, len(tail)), 0, -1)
        size = next((size for size in sizes if tail.endswith(self._delimiter[:size])), 0)
        self._split = tail[len(tail) - size :]
        return tail[: len(tail) - size]

    def _extend(self, piece: bytes, out: list[bytes | Damaged]) -> None:
        self._size += len(piece)
        if self._reported:
            pass
        elif self._size <= self._max_frame:
            self._buffer += piece
        else:
            self._buffer += piece[: max(0, self._kept - len(self._buffer))]
            del self._buffer[self._kept :]
        while self._size >= common.UNENDING:
            self._count_too_long()
            damaged = Damaged(bytes(self._buffer[: self._kept]), self._too_long, common.UNENDING)
            self._garbage.add_whole(damaged, out)
            self._size -= common.UNENDING
            self._buffer.clear()
            self._reported = True

    def _finish(self, out: list[bytes | Damaged]) -> None:
        if not self._reported and self._size <= self._max_frame:
            self._hand_over([bytes(self._buffer)], out)
        elif self._size:
            self._count_too_long()
            self._garbage.add_whole(Damaged(bytes(self._buffer), self._too_long, self._size), out)
        self._clear()

    def _hand_over(self, frames: list[bytes], out: list[bytes | Damaged]) -> None:
        strip, unpack = self.strip, self._unpack
        if unpack is None:
            self._garbage.end(out)
            out.extend([frame.removesuffix(strip) for frame in frames] if strip else frames)
            return
        for frame in frames:
            unpacked = unpack(frame.removesuffix(strip))
            if isinstance(unpacked, bytes):
                self._garbage.end(out)
                out.append(unpacked)
            elif unpacked is not None:
                if unpacked is WRONG:
                    self.counts.checksum_errors += 1
                else:
                    self.counts.malformed += 1
                self._garbage.add(frame + self._delimiter, unpacked, out)

    def _count_too_long(self) -> None:
        if not self._reported:
            self.counts.too_long += 1

    def _clear(self) -> None:
        self._buffer = bytearray()  # a new one: a cleared bytearray may hold on to its memory
        self._size = 0
        self._reported = False


def _unpack_checked(check: Checksum, decode: Unpack | None) -> Unpack:
    strip = check.strip

    def unpack(raw: bytes) -> bytes | str | None:
        frame = decode(raw) if decode else raw
        if not frame:
            return None  # a blank line, or what damage made one: it has no checksum that could be right
        if isinstance(frame, str):
            return frame
        body = strip(frame)
        return WRONG if body is None else body

    return unpack
