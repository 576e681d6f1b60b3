"""Opens what a serial source reads from: a port of this machine, or a serial server on the network.

Either way the result is a file descriptor that never blocks, reports its end, and has kept what arrived before.

Opening a port raises DTR and closing it drops DTR, which restarts many boards (Arduino). A port is therefore opened
once per plug and kept open, and nothing here opens a port to see whether it is there.
"""

import errno
import os
import re
import socket
import stat
import termios
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

import msgspec
import serial
from msgspec import Meta

from devices.errors import SettingError, SourceError, SourceLost, SourceRefused

CONNECT_WITHIN: Final = 5.0
"""Seconds that a serial server has for answering."""

_SOCKET: Final = re.compile(r"socket://\[?(?P<host>[^/\[\]@?#\s]+)\]?:(?P<port>\d{1,5})/?\Z")
_LAST_PORT: Final = 65_535
_ALLOWED: Final = "allowed: a path such as /dev/serial/by-id/usb-... or socket://HOST:PORT"
_PTY_MAJORS: Final = range(136, 144)  # Documentation/admin-guide/devices.txt of the kernel
_PARITIES: Final = {
    "none": serial.PARITY_NONE,
    "even": serial.PARITY_EVEN,
    "odd": serial.PARITY_ODD,
    "mark": serial.PARITY_MARK,
    "space": serial.PARITY_SPACE,
}
_UNPLUGGED: Final = (errno.ENOENT, errno.ENXIO, errno.ENODEV)
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM)
_BUSY: Final = (errno.EBUSY, errno.EAGAIN)


class Port(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which port, and how it speaks. `socket://` ignores all but `port`: the server has line settings of its own.

    Attributes:
        port: absolute path, best a stable name in /dev/serial/by-id, or `socket://HOST:PORT` of a serial server.
        baud: bits per second.
        bytesize: data bits.
        parity: `none`, `even`, `odd`, `mark` or `space`. A byte of wrong parity arrives as NUL, which no number holds.
        stopbits: stop bits.
    """

    port: str
    baud: Annotated[int, Meta(ge=50, le=20_000_000)] = 9600
    bytesize: Literal[5, 6, 7, 8] = 8
    parity: Literal["none", "even", "odd", "mark", "space"] = "none"
    stopbits: Literal[1, 2] = 1


class Link(Protocol):
    """What serial.Serial and socket.socket have in common."""

    def fileno(self) -> int:
        """The open file descriptor."""

    def close(self) -> None:
        """Close it."""


def check_port(port: str, key: str) -> None:
    """Whether `port`, the setting at `key`, can be a port at all. Touches nothing.

    Raises:
        SettingError: it cannot.
    """
    address = _SOCKET.match(port)
    if address and 0 < int(address["port"]) <= _LAST_PORT:
        return
    if port.startswith("socket://"):
        problem = "is not an address and a port number with nothing after it"
    elif scheme := re.match(r"[A-Za-z0-9+.-]+://", port):
        problem = f"is not served: {scheme[0]} has no file descriptor of its own to wait on"
    elif not port.startswith("/") or not port.isprintable():
        problem = "is no absolute path"
    else:
        return
    raise SettingError(key, f"{port!r} {problem}; {_ALLOWED}")


def open_link(settings: Port) -> Link:
    """Open the port. Blocks, for seconds if a server does not answer: call it in a worker thread.

    Raises:
        SourceLost, SourceRefused: see devices.errors.
    """
    address = _SOCKET.match(settings.port)
    return _open_socket(settings.port, address) if address else _open_tty(settings)


def still_named(port: str, link: Link) -> bool:
    """Whether the name `port` leads to the device that is open. The kernel may keep a dead device half alive."""
    if _SOCKET.match(port):
        return True
    try:
        return os.path.samestat(Path(port).stat(), os.fstat(link.fileno()))
    except OSError:
        return False


def is_uart(fd: int) -> bool:
    """Whether there is a wire behind `fd`, which may be in the middle of a line when it is opened.

    A pseudo-terminal keeps what was written before, and a socket starts with its connection: these begin whole.
    """
    status = os.fstat(fd)
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) not in _PTY_MAJORS


class _Port(serial.Serial):  # type: ignore[misc] # pyserial ships no types
    """A port that keeps what has already arrived: pyserial would discard it at the opening."""

    def _reset_input_buffer(self) -> None:
        pass


def _open_socket(url: str, address: re.Match[str]) -> socket.socket:
    # Not pyserial's socket://: it discards what arrives with the connection, and its close() sleeps in the event loop.
    try:
        link = socket.create_connection((address["host"], int(address["port"])), timeout=CONNECT_WITHIN)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SourceLost(
            f"{url} does not answer ({reason}): is the serial server on, and the port right?"
        ) from None
    link.setblocking(False)
    # A server that lost its power says nothing: without these probes its silence would look like a quiet line.
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return link


def _open_tty(settings: Port) -> Link:
    try:
        port = _Port(
            settings.port,
            settings.baud,
            settings.bytesize,
            _PARITIES[settings.parity],
            settings.stopbits,
            exclusive=True,
            inter_byte_timeout=0,  # VMIN = 1: a read that returns nothing is then a hang-up and nothing else
        )
        if settings.parity != "none":
            _mark_wrong_parity(port)
    except (OSError, ValueError, termios.error) as error:
        raise _explain(error, settings) from None
    return port


def _mark_wrong_parity(port: _Port) -> None:
    """Have the kernel check parity, which pyserial leaves off: a wrong byte becomes NUL, which no decoder takes."""
    try:
        attributes = termios.tcgetattr(port.fileno())
        attributes[0] |= termios.INPCK
        termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
    except termios.error:
        port.close()
        raise


def _explain(error: Exception, settings: Port) -> SourceError:
    """What a failed opening means for the caller and for people."""
    port = settings.port
    code = error.errno if isinstance(error, OSError) else None
    if code in _UNPLUGGED:
        return SourceLost(
            f"no such port {port}: is it plugged in? `ls /dev/serial/by-id` lists what is there"
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
    if not isinstance(error, OSError):
        wanted = f"{settings.baud} baud, {settings.bytesize}{settings.parity[0].upper()}{settings.stopbits}"
        return SourceRefused(f"{port} does not take these line settings: {wanted}")
    reason = "it does not answer as a serial port" if code is None else os.strerror(code)
    return SourceLost(f"{port} cannot be opened ({reason}): is it a serial port, with hardware behind it?")
