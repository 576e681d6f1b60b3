"""One segment file: what is known of it in memory, and reading it frame by frame."""

from collections.abc import Iterator
from typing import Final

from gateway.spool.batch import Batch, Tally
from gateway.spool.format import (
    FRAME_HEAD,
    HEADER_SIZE,
    Damage,
    Frame,
    Summary,
    decode_body,
    frame_size,
    parse_frame,
    scan,
)
from gateway.spool.fs import Files

SUFFIX: Final = ".seg"

BLOCK: Final = 4096
"""What a disk cannot read, it cannot read in blocks of this size."""


class Segment:
    """Frames in one file, up to `size`; what lies beyond is not ours. Used from one thread at a time.

    Attributes:
        name: of the file.
        size: where the next frame goes: the end of the last durable one.
        first, last: sequences of its first and last item; 0 while it is empty.
        at: where reading goes on.
        floor: repeats of earlier segments, and what was delivered when it was opened: not above this sequence.
        unread: what lies beyond `at` and above `floor`.
        oldest: receipt time of the first reading in it, 0 if none.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = self.at = HEADER_SIZE
        self.first = self.last = self.floor = 0
        self.unread = Tally()
        self.oldest = 0
        self._given_up: dict[int, int] = {}  # stretches by where they begin

    @property
    def touched(self) -> bool:
        """Whether reading it has begun."""
        return self.at > HEADER_SIZE

    @property
    def exhausted(self) -> bool:
        """Whether all of it was read."""
        return self.at >= self.size

    def grow(self, end: int, summary: Summary) -> None:
        """A frame that ends at `end` is durable now; it counts as unread."""
        self.first = self.first or summary.first
        self.last = max(self.last, summary.last)
        self.oldest = self.oldest or summary.oldest
        self.size = end
        self.unread.add(summary.tally())

    def give_up(self, damage: Damage) -> None:
        """This stretch is quarantined: it is not read again, even if the disk should read it better next time."""
        self._given_up[damage.start] = damage.end

    def pass_by(self, end: int, tally: Tally) -> None:
        """The frame that ends at `end` need not be read (again); `tally` of it was unread."""
        self.at = end
        self.unread.take(tally)

    def next(self, files: Files, *, by_block: bool = False) -> Frame | Damage:
        """The frame, or the stretch of damage, at `at`. Call it only if not exhausted.

        With `by_block`, blocks that the disk cannot read are damage.

        Raises:
            OSError: the disk cannot read it.
        """
        self.at = self._given_up.get(self.at, self.at)
        if by_block:
            rest = read_all(files, self.name, self.at, self.size)
            return next(scan(rest, 0, self.at), Damage(self.at, self.size, "missing"))
        length = frame_size(files.read(self.name, self.at, FRAME_HEAD))
        if 0 < length <= self.size - self.at:
            found = parse_frame(files.read(self.name, self.at, length), 0, self.at)
            if isinstance(found, Frame):
                return found
        rest = files.read(self.name, self.at, self.size - self.at)
        return next(scan(rest, 0, self.at), Damage(self.at, self.size, "missing"))

    def counted(self, frame: Frame) -> Tally:
        """What of `frame` lies above `floor`.

        Raises:
            ValueError: see decode_body.
        """
        if frame.summary.first > self.floor:
            return frame.summary.tally()
        return total(after(decode_body(frame.body), self.floor))

    def skip_to(self, floor: int, files: Files) -> None:
        """Let reading begin above sequence `floor`. For a segment that was just opened."""
        self.floor = floor
        self.unread = Tally()
        begin = 0
        for found in scan(read_all(files, self.name, HEADER_SIZE, self.size), 0, HEADER_SIZE):
            if isinstance(found, Damage) or found.summary.last <= floor:
                continue
            begin = begin or found.start
            try:
                self.unread.add(self.counted(found))
            except ValueError:
                continue  # reading it will find the same, and quarantine it
        self.at = begin or self.size


def after(batches: list[Batch], position: int) -> Iterator[Batch]:
    """What of `batches` lies above sequence `position`."""
    return (rest for rest in (batch.after(position) for batch in batches) if rest)


def total(batches: Iterator[Batch]) -> Tally:
    """All of them counted."""
    tally = Tally()
    for batch in batches:
        tally.add(batch.tally())
    return tally


def read_all(files: Files, name: str, start: int, end: int) -> bytes:
    """The bytes from `start` to `end`, blocks that the disk cannot read as zeros."""
    try:
        return files.read(name, start, end - start)
    except OSError:
        return b"".join(_block(files, name, at, min(BLOCK, end - at)) for at in range(start, end, BLOCK))


def _block(files: Files, name: str, at: int, length: int) -> bytes:
    try:
        return files.read(name, at, length)
    except OSError:
        return bytes(length)
