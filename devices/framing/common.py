"""What the framings share: their protocol, their bounds, and what becomes of bytes that are no frame."""

from typing import Final, Protocol

import msgspec

from devices.errors import SettingError

MAX_FRAME: Final = 65_536
"""Longest frame by default, in bytes. Real devices print tens to hundreds of bytes a line, a JSON line of a hundred
readings ten thousand; at 115,200 baud this is six seconds without a line end, and it stays far below the largest
record that Kafka takes by default (1 MB)."""

KEPT: Final = 16_384
"""How much of damaged bytes is kept: enough to see what it was, for a dead letter."""

UNENDING: Final = 16 * 1024 * 1024
"""A frame this long is reported before it ends: it may never end."""

FIRST_PIECE: Final = 64
LAST_PIECE: Final = 1024 * 1024
"""Garbage in a row is reported in pieces that double in size from the first to the last of these: soon at first, and
never as a flood. At 921,600 baud a wrong baud rate makes fifteen dead letters in the first 20 s, then one in 11 s."""


class Damaged(msgspec.Struct, frozen=True):
    """Bytes that are no frame and must not be decoded.

    Attributes:
        data: the beginning of them as they came, at most KEPT bytes.
        reason: what is wrong with them, for people; quotes no device data. Of several things, the first.
        size: how many bytes there were. The delimiter of a frame that was too long does not count.
    """

    data: bytes
    reason: str
    size: int


class Counts(msgspec.Struct):
    """What a framing saw since it was made: it only ever grows, and does not depend on how the stream was chopped up.

    Every byte is in a good frame, is damaged, or only separates frames. What makes no dead letter of its own, because
    damage in a row is put together, is counted all the same.

    Attributes:
        bytes: all that came.
        damaged_bytes: those reported as Damaged; what is still held back is not among them yet.
        frames: good frames, empty lines included unless lines have a checksum: then they only separate.
        checksum_errors: whole frames whose checksum was wrong. Where only the checksum tells where a frame begins, each
            further stretch of damage as long as a frame counts as one.
        malformed: what began or ended like a frame and cannot be one: an escape that means nothing, a length that
            cannot be, a start whose end did not come.
        too_long: frames of more than `max_frame` bytes that the next delimiter ended, or that nothing has ended yet.
        cut_short: frames that were under way when the link broke or the line fell quiet.
        resyncs: how often a good frame was found behind damage.
    """

    bytes: int = 0
    damaged_bytes: int = 0
    frames: int = 0
    checksum_errors: int = 0
    malformed: int = 0
    too_long: int = 0
    cut_short: int = 0
    resyncs: int = 0


class Framing(Protocol):
    """Used by one source, for one link at a time. Never raises because of what the bytes are.

    However the stream is chopped up, the frames are the same; the work is linear in the bytes.

    Attributes:
        checked: every frame carries a checksum that was found right.
        gap: seconds of quiet in mid-frame after which the caller should reset(); 0.0: never. Ask after each push.
        held: bytes kept until more come: never more than the longest frame and KEPT.
        counts: what it saw since it was made, over all links.
    """

    @property
    def checked(self) -> bool: ...  # noqa: D102 - see Attributes, as those below

    @property
    def gap(self) -> float: ...  # noqa: D102

    @property
    def held(self) -> int: ...  # noqa: D102

    @property
    def counts(self) -> Counts: ...  # noqa: D102

    def push(self, data: bytes) -> list[bytes | Damaged]:
        """The frames that `data` completes, in the order of the stream, without delimiters and checksums."""

    def reset(self, reason: str) -> list[bytes | Damaged]:
        """No byte will follow those that came: hand over what there is of them, and forget it.

        The partial frame comes as Damaged with this `reason`, for it is never completed with bytes of another link;
        before or behind it there can be whole frames that what looked like the beginning of another one held back.
        """


class Garbage:
    """Damaged bytes in a row, put together until they are worth a report or a good frame follows.

    Attributes:
        reports: how many Damaged it put out.
    """

    def __init__(self, counts: Counts) -> None:
        self.reports = 0
        self._counts = counts
        self._lost = False  # damage came, and no good frame since
        self._kept = bytearray()
        self._size = 0
        self._reason = ""
        self._piece = FIRST_PIECE

    @property
    def kept(self) -> int:
        """Bytes kept in memory."""
        return len(self._kept)

    @property
    def room(self) -> int:
        """Bytes until the next report."""
        return self._piece - self._size

    def add(self, data: bytes, reason: str, out: list[bytes | Damaged]) -> None:
        """Take these too; once there are enough, they are in `out`."""
        self._lost = True
        if not self._size:
            self._reason = reason
        self._size += len(data)
        self._kept += data[: KEPT - len(self._kept)]
        if self._size >= self._piece:
            self._report(out)
            self._piece = min(2 * self._piece, LAST_PIECE)

    def add_whole(self, damaged: Damaged, out: list[bytes | Damaged]) -> None:
        """Take what is worth a report of its own: it goes to `out` behind what there is."""
        self._flush(out)
        self._lost = True
        self._put(damaged, out)

    def end(self, out: list[bytes | Damaged]) -> None:
        """A good frame follows: what there is goes to `out`."""
        if self._lost:
            self.forget(out)
            self._counts.resyncs += 1

    def forget(self, out: list[bytes | Damaged]) -> None:
        """Nothing follows: what there is goes to `out`, and whatever comes has nothing to do with it."""
        self._flush(out)
        self._lost = False

    def _flush(self, out: list[bytes | Damaged]) -> None:
        if self._size:
            self._report(out)
        self._piece = FIRST_PIECE

    def _report(self, out: list[bytes | Damaged]) -> None:
        self._put(Damaged(bytes(self._kept), self._reason, self._size), out)
        self._kept = bytearray()
        self._size = 0

    def _put(self, damaged: Damaged, out: list[bytes | Damaged]) -> None:
        self.reports += 1
        self._counts.damaged_bytes += damaged.size
        out.append(damaged)


def hex_bytes(text: str, key: str, most: int = 8) -> bytes:
    """The bytes that the setting at `key` writes in hex: `"0d 0a"`; at most `most`, none if the text is empty.

    Raises:
        SettingError: it is something else.
    """
    try:
        found = bytes.fromhex(text)
    except ValueError:
        problem = f'{text!r} is not allowed: bytes are written in hex, such as "0d 0a" for CR LF'
        raise SettingError(key, problem) from None
    if len(found) > most:
        raise SettingError(key, f"{text!r} is not allowed: at most {most} bytes")
    return found
