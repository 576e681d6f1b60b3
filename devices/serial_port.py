"""Serial ports, and serial servers on the network: bytes in, payloads out.

A port is opened in a worker thread, because that may block; from then on its file descriptor sits in the event loop
and costs nothing while the line is quiet.

A port is gone when the kernel says so (end of file, hang-up, input/output error), or when its name vanishes or leads
to another device: the configuration means what /dev/serial/by-id/... names now, not the descriptor that was behind it
once. What was cut off in mid-frame goes to the dead letters, never into a reading.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from devices.decoders import make_decoder
from devices.errors import SettingError, SourceLost
from devices.framing import MAX_FRAME, Damaged, Framing, make_framing
from devices.reading import NAME_LIMIT, is_name
from devices.serial_link import Link, Port, check_port, is_uart, open_link, still_named
from devices.source import NO_HOME, Home, Intake, Origin

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


def open_source(name: str, settings: Settings, home: Home = NO_HOME) -> "SerialPort":  # noqa: ARG001 - asked of all kinds
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

    async def run(self, intake: Intake) -> None:
        """Open the port and hand over its frames until it is gone."""
        await self.close()
        link = self._link = await self._connect()
        intake.connected()

        loop = asyncio.get_running_loop()
        # A new connection has a new beginning: what a decoder remembered of the last one may hold no longer.
        origin = msgspec.structs.replace(self._origin, memory={})
        line = _Line(link, origin, self._framing, intake, loop.create_future())
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
            line.cut(how)
        await self.close()
        raise SourceLost(f"{self._settings.port} is gone ({how}); it is opened again as soon as it is back")

    def safe(self, receipts: Sequence[Any]) -> None:
        """Nothing: a serial line cannot be asked to say it again."""

    def announce(self, health: str, reasons: Sequence[str]) -> None:
        """Nothing: a serial line does not hear it."""

    async def close(self) -> None:
        """Close the port."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

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


class _Line:
    """One connection's way from its descriptor to the intake. `gone` gets the reason when the other side ends it."""

    def __init__(
        self,
        link: Link,
        origin: Origin,
        framing: Framing,
        intake: Intake,
        gone: "asyncio.Future[str]",
    ) -> None:
        self._fd = link.fileno()
        self._origin = origin
        self._framing = framing
        self._intake = intake
        self.gone = gone
        self._settling = is_uart(self._fd)
        self._joined = False
        self._quiet: asyncio.TimerHandle | None = None

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
            self._settling, self._joined = False, True
        try:
            self._hand_over(self._framing.push(data))
            self._watch()
        except Exception as error:  # noqa: BLE001 - a fault of ours must end run(), not disappear in the event loop
            self.gone.set_exception(error)

    def cut(self, how: str) -> None:
        """No more bytes will come: what is held of a frame will never be whole."""
        if self._quiet:
            self._quiet.cancel()
        self._hand_over(self._framing.reset(f"cut off in mid-frame: {how}"))

    def _hand_over(self, frames: list[bytes | Damaged]) -> None:
        if self._joined and frames:
            self._joined = False
            first = frames[0]
            if isinstance(first, bytes) and first and not self._framing.checked:
                frames[0] = Damaged(first, "joined in mid-frame", len(first))
        for frame in frames:
            if isinstance(frame, Damaged):
                self._reject(frame)
            else:
                self._intake.payload(frame, self._origin)

    def _watch(self) -> None:
        """See to it that what is held is not kept waiting for bytes that do not come."""
        if self._quiet:
            self._quiet.cancel()
            self._quiet = None
        if self._framing.gap and self._framing.held:
            # A timer is served after all descriptors: what came in time counts as such, however late the loop is.
            self._quiet = self.gone.get_loop().call_later(self._framing.gap, self._fell_quiet)

    def _fell_quiet(self) -> None:
        self._quiet = None
        try:
            self._hand_over(self._framing.reset(PAUSED))
        except Exception as error:  # noqa: BLE001 - as in read()
            if not self.gone.done():
                self.gone.set_exception(error)

    def _reject(self, damaged: Damaged) -> None:
        self._intake.reject(damaged.data, self._origin, damaged.reason, damaged.size)


def _close_unwanted(opening: "asyncio.Future[Link]") -> None:
    """Close what was opened after nobody waited for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
