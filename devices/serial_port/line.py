"""One connection of a serial source: from its descriptor to the intake, and the same again from a capture."""

import asyncio
import os
import time
from typing import Final

from devices.framing import Damaged, Framing
from devices.serial_port.link import Link
from devices.serial_port.tty import is_uart
from devices.source import Intake, Origin, Piece, Tap

READ_BYTES: Final = 16_384
"""Read per turn of the event loop. The shortest lines make 8,000 frames of it: others wait some 30 ms at the worst."""

PAUSED: Final = "cut short: the line fell quiet in mid-frame"


class Frames:
    """The way of one connection's bytes to the intake.

    Attributes:
        joined: the first frame is likely to be the tail of one.
    """

    def __init__(self, framing: Framing, origin: Origin, intake: Intake) -> None:
        self.joined = False
        self._framing = framing
        self._origin = origin
        self._intake = intake

    @property
    def held(self) -> bool:
        """Whether a frame is under way."""
        return bool(self._framing.held)

    @property
    def patience(self) -> float:
        """Seconds of quiet after which what is held counts as cut short; 0.0: nothing is, or it may take any time."""
        return self._framing.gap if self._framing.held else 0.0

    def push(self, data: bytes) -> None:
        """These have come."""
        self._hand_over(self._framing.push(data))

    def fell_quiet(self) -> None:
        """What is held of a frame is not continued by what may still come."""
        self._hand_over(self._framing.reset(PAUSED))

    def cut(self, how: str) -> None:
        """No more bytes will come: what is held of a frame will never be whole."""
        self._hand_over(self._framing.reset(f"cut off in mid-frame: {how}"))

    def take(self, piece: Piece) -> None:
        """Do again what was done when this piece came."""
        if piece.event == "quiet":
            self.fell_quiet()
        elif piece.event == "lost":
            self.cut(piece.reason)
        elif piece.event == "gap":
            self.cut("what followed is missing from the capture")
        self.joined = self.joined or piece.joined
        if piece.data:
            self.push(piece.data)

    def _hand_over(self, frames: list[bytes | Damaged]) -> None:
        if self.joined and frames:
            self.joined = False
            first = frames[0]
            if isinstance(first, bytes) and first and not self._framing.checked:
                frames[0] = Damaged(first, "joined in mid-frame", len(first))
                counts = self._framing.counts
                counts.frames, counts.cut_short = counts.frames - 1, counts.cut_short + 1
                counts.damaged_bytes += len(first)
        for frame in frames:
            if isinstance(frame, Damaged):
                self._intake.reject(frame.data, self._origin, frame.reason, frame.size)
            else:
                self._intake.payload(frame, self._origin)


class Line:
    """One connection's descriptor. `gone` gets the reason when the other side ends it."""

    def __init__(self, link: Link, frames: Frames, gone: "asyncio.Future[str]") -> None:
        self._fd = link.fileno()
        self._frames = frames
        self.gone = gone
        self._settling = is_uart(self._fd)
        self._quiet: asyncio.TimerHandle | None = None
        self._tap: Tap | None = None

    def listen(self, tap: Tap | None) -> None:
        """Let `tap` hear what comes from now on."""
        self._tap = tap
        if tap:
            frames = self._frames
            tap(Piece(time.time_ns(), "opened", joined=frames.joined or frames.held))

    def settle(self) -> None:
        """The other side was quiet at the opening: what comes now begins with the beginning of a frame."""
        self._settling = False

    def read(self) -> None:
        """Take what has arrived, one bounded piece: called by the event loop when there is something."""
        if self.gone.done():
            return
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.gone.set_result(os.strerror(error.errno or 0))
            return
        if not data:
            self.gone.set_result("the other side hung up")
            return
        if self._settling:
            self._settling, self._frames.joined = False, True
        if self._tap:
            self._tap(Piece(time.time_ns(), data=data, joined=self._frames.joined))
        try:
            self._frames.push(data)
            self._watch()
        except Exception as error:  # noqa: BLE001 - a fault of ours must end run(), not disappear in the event loop
            self.gone.set_exception(error)

    def cut(self, how: str) -> None:
        """No more bytes will come."""
        if self._quiet:
            self._quiet.cancel()
        if self._tap:
            self._tap(Piece(time.time_ns(), "lost", reason=how))
        self._frames.cut(how)

    def _watch(self) -> None:
        """See to it that what is held is not kept waiting for bytes that do not come."""
        if self._quiet:
            self._quiet.cancel()
            self._quiet = None
        if patience := self._frames.patience:
            # A timer is served after all descriptors: what came in time counts as such, however late the loop is.
            self._quiet = self.gone.get_loop().call_later(patience, self._fell_quiet)

    def _fell_quiet(self) -> None:
        self._quiet = None
        if self._tap:
            self._tap(Piece(time.time_ns(), "quiet"))
        try:
            self._frames.fell_quiet()
        except Exception as error:  # noqa: BLE001 - as in read()
            if not self.gone.done():
                self.gone.set_exception(error)
