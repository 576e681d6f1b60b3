"""Serial ports, and serial servers on the network: bytes in, payloads out.

A port is opened in a worker thread, because that may block; from then on its file descriptor sits in the event loop
and costs nothing while the line is quiet.

A port is gone when the kernel says so (end of file, hang-up, input/output error), or when its name vanishes or leads
to another device: the configuration means what /dev/serial/by-id/... names now, not the descriptor that was behind it
once. What was cut off in mid-frame goes to the dead letters, never into a reading.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from devices.decoders import make_decoder
from devices.errors import SettingError, SourceLost
from devices.framing import MAX_FRAME, Damaged, Framing, make_framing
from devices.reading import NAME_LIMIT, is_name
from devices.serial_link import Link, Port, check_port, is_uart, open_link, still_named
from devices.source import Intake, Origin, Piece, Tap

READ_BYTES: Final = 16_384
"""Read per turn of the event loop. The shortest lines make 8,000 frames of it: others wait some 30 ms at the worst."""

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at whether the name still leads to the port that is open."""

SETTLE: Final = 0.05
"""Seconds after the opening of a UART within which bytes mean that the other side was in the middle of a frame."""

PAUSED: Final = "cut short: the line fell quiet in mid-frame"


class Settings(Port, frozen=True, forbid_unknown_fields=True):
    """`[sources.NAME]` with `kind = "serial"`: a Port, and what its bytes mean.

    Attributes:
        framing: where a frame ends: the name of a framing, or a table with its `kind` and options.
        max_frame: longest frame, in bytes; a longer one becomes a dead letter.
        decoder: how a frame is read: the name of a decoder, or a table with its `kind` and options.
        device: names the device of frames that name none. Empty: the name of the source.
        sensor: names the sensor of frames that name none. Empty: nothing does.
    """

    framing: str | dict[str, Any] = "line"
    max_frame: Annotated[int, Meta(ge=1, le=1_048_576)] = MAX_FRAME
    decoder: str | dict[str, Any] = "keyvalue"
    device: str = ""
    sensor: str = ""


def open_source(name: str, settings: Settings, gateway: str = "") -> "SerialPort":  # noqa: ARG001 - asked of all kinds
    """See devices.registry. A serial line does not hear who reads it.

    Raises:
        SettingError: a port, name, framing or decoder that cannot be.
    """
    key = f"sources.{name}"
    check_port(settings.port, f"{key}.port")
    device = settings.device or name
    if not is_name(device):
        raise SettingError(f"{key}.device", f"{device!r} is no name: 1 to {NAME_LIMIT} printable characters")
    if settings.sensor and not is_name(settings.sensor):
        problem = f"{settings.sensor!r} is no name: at most {NAME_LIMIT} printable characters, not blank"
        raise SettingError(f"{key}.sensor", problem)
    decode = make_decoder(settings.decoder, f"{key}.decoder")
    framing = make_framing(settings.framing, f"{key}.framing", settings.max_frame)
    return SerialPort(settings, framing, Origin(name, settings.port, device, settings.sensor, decode))


class SerialPort:
    """The source of kind `serial`; see devices.source.Source for its life and for what run() may raise."""

    def __init__(self, settings: Settings, framing: Framing, origin: Origin) -> None:
        self.name = origin.source
        self.window = 0
        self._settings = settings
        self._framing = framing  # one for all connections: cut() empties it
        self._origin = origin
        self._link: Link | None = None
        self._line: _Line | None = None
        self._tap: Tap | None = None
        self._replayed: _Frames | None = None

    async def run(self, intake: Intake) -> None:
        """Open the port and hand over its frames until it is gone."""
        await self.close()
        link = self._link = await self._connect()
        intake.connected()

        loop = asyncio.get_running_loop()
        line = self._line = _Line(link, self._frames(intake), loop.create_future())
        line.listen(self._tap)
        # A timer and no comparison of clocks: the loop serves descriptors before timers, so bytes that came in
        # time count as such however late a busy loop gets to see them.
        settled = loop.call_later(SETTLE, line.settle)
        loop.add_reader(link.fileno(), line.read)
        how = "the gateway stopped reading"
        try:
            how = await self._until_gone(link, line.gone)
        finally:
            settled.cancel()
            loop.remove_reader(link.fileno())
            self._line = None
            line.cut(how)
        await self.close()
        raise SourceLost(f"{self._settings.port} is gone ({how}); it is opened again as soon as it is back")

    def safe(self, receipts: Sequence[Any]) -> None:
        """Nothing: a serial line cannot be asked to say it again."""

    async def close(self) -> None:
        """Close the port."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def tap(self, tap: Tap | None) -> None:
        """See devices.source.RawSource."""
        self._tap = tap
        if self._line:
            self._line.listen(tap)

    def replay(self, piece: Piece, intake: Intake) -> None:
        """See devices.source.RawSource."""
        if self._replayed is None or piece.event == "opened":
            if self._replayed:
                self._replayed.cut("a new connection began")
            self._replayed = self._frames(intake)
        self._replayed.take(piece)

    def _frames(self, intake: Intake) -> "_Frames":
        # A new connection has a new beginning: what a decoder remembered of the last one may hold no longer.
        return _Frames(self._framing, msgspec.structs.replace(self._origin, memory={}), intake)

    async def _connect(self) -> Link:
        """Open the port in a worker thread; when cancelled meanwhile, nothing stays open."""
        opening = asyncio.get_running_loop().run_in_executor(None, open_link, self._settings)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise

    async def _until_gone(self, link: Link, gone: "asyncio.Future[str]") -> str:
        """Wait until the port is gone; says how."""
        while not gone.done():
            await asyncio.wait([gone], timeout=LOOK_EVERY)
            if not gone.done() and not still_named(self._settings.port, link):
                return "its name vanished or leads to another device"
        return gone.result()


class _Frames:
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
        for frame in frames:
            if isinstance(frame, Damaged):
                self._intake.reject(frame.data, self._origin, frame.reason, frame.size)
            else:
                self._intake.payload(frame, self._origin)


class _Line:
    """One connection's descriptor. `gone` gets the reason when the other side ends it."""

    def __init__(self, link: Link, frames: _Frames, gone: "asyncio.Future[str]") -> None:
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


def _close_unwanted(opening: "asyncio.Future[Link]") -> None:
    """Close what was opened after nobody waited for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
