"""Cuts a stream of bytes into frames. Sans-I/O: bytes are pushed in, frames come out, memory is bounded.

A framing knows nothing of ports and clocks. However the stream was chopped up on its way, the frames are the same,
and the work done is linear in the bytes. A further framing (another delimiter, a fixed size, COBS) is one more class
that keeps the promises of Framing.
"""

from typing import Final, Protocol

import msgspec

MAX_FRAME: Final = 65_536
"""Longest line by default, in bytes. Real devices print tens to hundreds of bytes a line, a JSON line of a hundred
readings ten thousand; at 115,200 baud this is six seconds without a line end, and it stays far below the largest
record that Kafka takes by default (1 MB)."""

KEPT: Final = 16_384
"""How much of a damaged frame is kept, in bytes: enough to see what it was, for a dead letter."""

UNENDING: Final = 16 * 1024 * 1024
"""A line this long is reported before it ends: it may never end."""


class Damaged(msgspec.Struct, frozen=True):
    """Bytes that are no frame and must not be decoded.

    Attributes:
        data: the beginning of them, at most KEPT bytes.
        reason: what is wrong with them, for people; quotes no device data.
        size: how many bytes there were, without the delimiter.
    """

    data: bytes
    reason: str
    size: int


class Framing(Protocol):
    """Used by one source, for one link at a time. Never raises because of what the bytes are."""

    def push(self, data: bytes) -> list[bytes | Damaged]:
        """The frames that `data` completes, in the order of the stream, without their delimiters."""

    def reset(self, reason: str) -> Damaged | None:
        """The link is gone: forget the frame that was under way, and return what there was of it, if anything.

        A partial frame is never completed with bytes of another link. `reason` says why it ended here.
        """


class LineFraming:
    r"""Lines that end in `\n` or `\r\n`.

    An empty line is a frame: decoders ignore it, and it is counted. A line of more than `max_frame` bytes (a `\r` at
    its end counts) becomes one Damaged when it ends, with its true size, and the next line is read as usual. A line
    that has not ended after UNENDING bytes is reported then and after every further UNENDING bytes; these later
    parts, the last one included, carry their size only.
    """

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._kept = min(max_frame, KEPT)
        self._too_long = (
            f"a line of more than {max_frame} bytes: wrong baud rate, or a device that sends no line ends"
        )
        self._buffer = bytearray()  # the line under way: all of it, or its beginning once it is too long
        self._size = 0  # bytes of that line, kept or not, that no Damaged has reported yet
        self._reported = False  # whether a Damaged has reported its beginning

    def push(self, data: bytes) -> list[bytes | Damaged]:
        """See Framing."""
        frames: list[bytes | Damaged] = []
        head, newline, rest = data.partition(b"\n")
        self._extend(head, frames)
        if not newline:
            return frames
        self._finish(frames)
        lines = rest.split(b"\n")
        tail = lines.pop()
        # One `in` and one `max` over a chunk instead of a look at each line: short lines come 50,000 to the megabyte.
        if len(rest) > self._max_frame and lines and max(map(len, lines)) > self._max_frame:
            for line in lines:
                self._extend(line, frames)
                self._finish(frames)
        elif b"\r" in rest:
            frames.extend([line.removesuffix(b"\r") for line in lines])
        else:
            frames.extend(lines)
        self._extend(tail, frames)
        return frames

    def reset(self, reason: str) -> Damaged | None:
        """See Framing."""
        damaged = Damaged(bytes(self._buffer[: self._kept]), reason, self._size) if self._size else None
        self._clear()
        return damaged

    def _extend(self, piece: bytes, frames: list[bytes | Damaged]) -> None:
        self._size += len(piece)
        if self._reported:
            pass
        elif self._size <= self._max_frame:
            self._buffer += piece
        else:
            self._buffer += piece[: max(0, self._kept - len(self._buffer))]
            del self._buffer[self._kept :]
        while self._size >= UNENDING:
            frames.append(Damaged(bytes(self._buffer[: self._kept]), self._too_long, UNENDING))
            self._size -= UNENDING
            self._buffer.clear()
            self._reported = True

    def _finish(self, frames: list[bytes | Damaged]) -> None:
        if not self._reported and self._size <= self._max_frame:
            frames.append(bytes(self._buffer).removesuffix(b"\r"))
        elif self._size:
            frames.append(Damaged(bytes(self._buffer), self._too_long, self._size))
        self._clear()

    def _clear(self) -> None:
        self._buffer = bytearray()  # a new one: a cleared bytearray may hold on to its memory
        self._size = 0
        self._reported = False
