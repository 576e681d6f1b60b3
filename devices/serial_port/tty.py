"""A serial port of this machine: opened for nobody else, without restarting the board behind it.

The kernel raises DTR and RTS whenever a port is opened, and lowers them when it is closed for the last time, unless
HUPCL is off. Many boards (Arduino) restart when DTR rises. So HUPCL is switched off before anything else: DTR stays up
when the port is closed, and the next opening changes nothing. It remains off until the adapter is plugged in again. The
very first opening after that raises DTR; no program can prevent it.

Whatever a port is told that a pseudo-terminal does not know goes through the system call ioctl: there the tests listen.
"""

import contextlib
import errno
import fcntl
import os
import stat
import termios
import time
from typing import Final

import serial
from serial.rs485 import RS485Settings

from devices.errors import SourceError, SourceLost, SourceRefused
from devices.serial_port.settings import Port, Rs485

RESET_PULSE: Final = 0.1
"""Seconds of DTR low that restart a board: Arduino when it rises again, ESP8266 and ESP32 (RTS is up) as long as it is
low."""

_PARITIES: Final = {
    "none": serial.PARITY_NONE,
    "even": serial.PARITY_EVEN,
    "odd": serial.PARITY_ODD,
    "mark": serial.PARITY_MARK,
    "space": serial.PARITY_SPACE,
}
_PTY_MAJORS: Final = range(136, 144)  # Documentation/admin-guide/devices.txt of the kernel
_UNPLUGGED: Final = (errno.ENOENT, errno.ENXIO, errno.ENODEV)
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM)
_BUSY: Final = (errno.EBUSY, errno.EAGAIN)
_NO_SUCH_LINE: Final = (errno.EINVAL, errno.ENOTTY)


def open_tty(settings: Port) -> serial.Serial:
    """Open the port. Blocks: RESET_PULSE if a reset is asked for, and as long as the driver takes.

    Raises:
        SourceLost, SourceRefused: see devices.errors.
    """
    port = _Port(settings)
    try:
        port.open()
        if is_uart(port.fileno()):
            port.shut_out()
        if settings.reset:
            port.restart_board()
    except (OSError, ValueError, termios.error) as error:
        port.close()
        raise _explain(error, settings) from None
    except SourceRefused:
        port.close()
        raise
    return port


def is_uart(fd: int) -> bool:
    """Whether there is a wire behind `fd`, which may be in the middle of a line when it is opened.

    A pseudo-terminal keeps what was written before, and a socket starts with its connection: these begin whole.
    """
    status = os.fstat(fd)
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) not in _PTY_MAJORS


class _Port(serial.Serial):  # type: ignore[misc] # pyserial ships no types
    """What pyserial leaves to be desired: see the methods. It calls those with an underscore while it opens."""

    def __init__(self, settings: Port) -> None:
        super().__init__(
            None,
            settings.baud,
            settings.bytesize,
            _PARITIES[settings.parity],
            settings.stopbits,
            rtscts=settings.flow == "rtscts",
            xonxoff=settings.flow == "xonxoff",
            exclusive=True,
            inter_byte_timeout=0,  # VMIN = 1: a read that returns nothing is then a hang-up and nothing else
        )
        self.dtr, self.rts = settings.dtr, settings.rts
        if settings.rs485:
            rs485 = settings.rs485 if isinstance(settings.rs485, Rs485) else Rs485()
            self.rs485_mode = RS485Settings(
                rs485.rts_on_send,
                rs485.rts_after_send,
                rs485.rx_during_tx,
                rs485.delay_before_send_ms / 1000,
                rs485.delay_after_send_ms / 1000,
            )
        self.port = settings.port

    def shut_out(self) -> None:
        """Have the kernel refuse the port to all but root: pyserial's lock stops only those who ask for it.

        Not a pseudo-terminal: who pretends a device there keeps it open, so that after a crash of the gateway nobody
        would open the lock.
        """
        fcntl.ioctl(self.fd, termios.TIOCEXCL)

    def restart_board(self) -> None:
        """Lower DTR for a moment."""
        self.dtr = False
        time.sleep(RESET_PULSE)
        self.dtr = True

    def close(self) -> None:
        """Close without waiting for what the device does not take: the kernel would wait 30 s for it."""
        if self.is_open:
            with contextlib.suppress(OSError, termios.error):  # it may be gone
                fcntl.ioctl(self.fd, termios.TIOCNXCL)
                termios.tcflush(self.fd, termios.TCOFLUSH)
        super().close()

    def _reconfigure_port(self, force_update: bool = False) -> None:  # noqa: FBT001, FBT002 - pyserial's
        # The lock comes first, lest the settings of another program are changed; then HUPCL, so that a port which
        # refuses the rest does not restart its board at every new try.
        fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._change(cflag_off=termios.HUPCL)
        super()._reconfigure_port(force_update)
        if self._parity != serial.PARITY_NONE:
            # Have the kernel check parity, which pyserial leaves off: a wrong byte becomes NUL, which no decoder takes.
            self._change(iflag_on=termios.INPCK)

    def _change(self, *, cflag_off: int = 0, iflag_on: int = 0) -> None:
        attributes = termios.tcgetattr(self.fd)
        attributes[0] |= iflag_on
        attributes[2] &= ~cflag_off
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)

    def _reset_input_buffer(self) -> None:
        """Keep what has already arrived: pyserial would discard it at the opening."""

    def _update_dtr_state(self) -> None:
        try:
            super()._update_dtr_state()
        except OSError as error:
            self._without_line("DTR", self._dtr_state, error)

    def _update_rts_state(self) -> None:
        if self._rs485_mode is not None:
            return  # the driver controls it
        try:
            super()._update_rts_state()
        except OSError as error:
            self._without_line("RTS", self._rts_state, error)

    def _without_line(self, line: str, up: bool, error: OSError) -> None:  # noqa: FBT001 - the level
        """A port without the line serves as long as nobody wants it lowered."""
        if error.errno not in _NO_SUCH_LINE:
            raise error
        if not up:
            raise SourceRefused(f"{self._port} has no line {line} that could be lowered") from None

    def _set_rs485_mode(self, rs485_settings: RS485Settings) -> None:
        try:
            super()._set_rs485_mode(rs485_settings)
        except ValueError:
            raise SourceRefused(
                f"the driver of {self._port} does not do RS-485: leave rs485 out, and use an adapter or transceiver "
                "that turns the line round by itself, as most USB adapters do"
            ) from None


def _explain(error: OSError | ValueError | termios.error, settings: Port) -> SourceError:
    """What a failed opening means for the caller and for people."""
    port = settings.port
    code = error.args[0] if isinstance(error, termios.error) else getattr(error, "errno", None)
    if code in _UNPLUGGED:
        return SourceLost(
            f"no such port {port}: is it plugged in? `gatewayctl devices discover` lists what is there"
        )
    if code in _FORBIDDEN:
        return SourceRefused(
            f"no permission to open {port}: serial ports belong to the group `dialout`; add the user of the gateway "
            "with `sudo usermod -aG dialout USER` and start the gateway again"
        )
    if code in _BUSY:
        return SourceLost(
            f"{port} is in use by another program, such as a second gateway, a terminal program (minicom, screen) "
            f"or ModemManager: `sudo fuser -v {port}` names it"
        )
    if isinstance(error, ValueError) or code == errno.EINVAL:
        wanted = f"{settings.baud} baud, {settings.bytesize}{settings.parity[0].upper()}{settings.stopbits}"
        return SourceRefused(f"{port} does not take these line settings: {wanted}")
    reason = "it does not answer as a serial port" if code in (None, errno.ENOTTY) else os.strerror(code)
    return SourceLost(f"{port} cannot be opened ({reason}): is it a serial port, with hardware behind it?")
