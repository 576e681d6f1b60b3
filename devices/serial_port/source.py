"""Serial ports, and serial servers on the network: bytes in, payloads out.

A port is opened in a worker thread, because that may block; from then on its file descriptor sits in the event loop
and costs nothing while the line is quiet.

A port is gone when the kernel says so (end of file, hang-up, input/output error), or when its name vanishes or leads
to another device: the configuration means what /dev/serial/by-id/... names now, not the descriptor that was behind it
once. What was cut off in mid-frame goes to the dead letters, never into a reading.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from devices.decoders import make_decoder
from devices.errors import DecodeError, SettingError, SourceLost
from devices.framing import MAX_FRAME, Framing, make_framing
from devices.reading import NAME_LIMIT, is_name
from devices.serial_port.line import Frames, Line
from devices.serial_port.link import Link, open_link, still_named
from devices.serial_port.settings import Port, check_port
from devices.serial_port.startup import Command, compose, send
from devices.source import NO_HOME, Home, Intake, Origin, Piece, Tap

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at whether the name still leads to the port that is open."""

SETTLE: Final = 0.05
"""Seconds after the opening of a UART within which bytes mean that the other side was in the middle of a frame."""


class Settings(Port, frozen=True, forbid_unknown_fields=True):
    """`[sources.NAME]` with `kind = "serial"`: a Port, and what its bytes mean.

    Attributes:
        startup: what is written to the device after every opening: text, or tables with `hex` and `wait`.
        framing: where a frame ends: the name of a framing, or a table with its `kind` and options.
        max_frame: longest frame, in bytes; a longer one becomes a dead letter.
        decoder: how a frame is read: the name of a decoder, or a table with its `kind` and options.
        device: names the device of frames that name none. Empty: the name of the source.
        sensor: names the sensor of frames that name none. Empty: nothing does.
    """

    startup: tuple[str | Command, ...] = ()
    framing: str | dict[str, Any] = "line"
    max_frame: Annotated[int, Meta(ge=1, le=1_048_576)] = MAX_FRAME
    decoder: str | dict[str, Any] = "keyvalue"
    device: str = ""
    sensor: str = ""


def open_source(name: str, settings: Settings, home: Home = NO_HOME) -> "SerialPort":  # noqa: ARG001 - asked of all kinds
    """See devices.registry. A serial line does not hear who reads it.

    Raises:
        SettingError: a port, command, name, framing or decoder that cannot be.
    """
    key = f"sources.{name}"
    check_port(settings, key)
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
        self._startup = compose(settings.startup, f"sources.{self.name}.startup")
        self._framing = framing  # one for all connections: cut() empties it
        self._origin = origin
        self._link: Link | None = None
        self._connects = 0
        self._line: Line | None = None
        self._tap: Tap | None = None
        self._replayed: Frames | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """See devices.source.Source."""
        return {**msgspec.structs.asdict(self._framing.counts), "connects": self._connects}

    async def run(self, intake: Intake) -> None:
        """Open the port and hand over its frames until it is gone."""
        await self.close()
        link = self._link = await self._connect()
        self._connects += 1
        intake.connected()

        loop = asyncio.get_running_loop()
        line = self._line = Line(link, self._frames(intake), loop.create_future())
        line.listen(self._tap)
        # A timer and no comparison of clocks: the loop serves descriptors before timers, so bytes that came in
        # time count as such however late a busy loop gets to see them.
        settled = loop.call_later(SETTLE, line.settle)
        loop.add_reader(link.fileno(), line.read)
        starting = loop.create_task(self._start_up(link, line.gone))
        how = "the gateway stopped reading"
        try:
            how = await self._until_gone(link, line.gone)
        finally:
            settled.cancel()
            starting.cancel()
            loop.remove_reader(link.fileno())
            self._line = None
            line.cut(how)
        await asyncio.wait([starting])  # it may still watch the descriptor
        await self.close()
        raise SourceLost(f"{self._settings.port} is lost ({how}); it is opened again as soon as it is back")

    def safe(self, receipts: Sequence[Any]) -> None:
        """Nothing: a serial line cannot be asked to say it again."""

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """Nothing: a serial line does not hear it."""

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

    def origin(self, place: str, size: int, *, rejected: bool) -> Origin:  # noqa: ARG002 - ports are renamed
        """See devices.source.DecodingSource."""
        if rejected:
            raise DecodeError("it is no whole frame, or was damaged on the way")
        return msgspec.structs.replace(self._origin, memory={})

    def replay(self, piece: Piece, intake: Intake) -> None:
        """See devices.source.RawSource."""
        if self._replayed is None or piece.event == "opened":
            if self._replayed:
                self._replayed.cut("a new connection began")
            self._replayed = self._frames(intake)
        self._replayed.take(piece)

    def _frames(self, intake: Intake) -> Frames:
        # A new connection has a new beginning: what a decoder remembered of the last one may hold no longer.
        return Frames(self._framing, msgspec.structs.replace(self._origin, memory={}), intake)

    async def _connect(self) -> Link:
        """Open the port in a worker thread; when cancelled meanwhile, nothing stays open."""
        opening = asyncio.get_running_loop().run_in_executor(None, open_link, self._settings)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise

    async def _start_up(self, link: Link, gone: "asyncio.Future[str]") -> None:
        """Say what the device is to hear first. A device that does not take it is as good as gone."""
        try:
            await send(link.fileno(), self._startup)
        except OSError as error:
            if not gone.done():
                gone.set_result(error.strerror or str(error))

    async def _until_gone(self, link: Link, gone: "asyncio.Future[str]") -> str:
        """Wait until the port is gone; says how."""
        while not gone.done():
            await asyncio.wait([gone], timeout=LOOK_EVERY)
            if not gone.done() and not still_named(self._settings.port, link):
                return "its name vanished or leads to another device"
        return gone.result()


def _close_unwanted(opening: "asyncio.Future[Link]") -> None:
    """Close what was opened after nobody waited for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
