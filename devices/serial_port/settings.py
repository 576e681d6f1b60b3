"""What a person may set about a serial port itself: how it speaks, its control lines, RS-485."""

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from devices.errors import SettingError

SOCKET: Final = re.compile(r"socket://\[?(?P<host>[^/\[\]@?#\s]+)\]?:(?P<port>\d{1,5})/?\Z")
_LAST_PORT: Final = 65_535
_ALLOWED: Final = "allowed: a path such as /dev/serial/by-id/usb-... or socket://HOST:PORT"

Milliseconds = Annotated[int, Meta(ge=0, le=100)]
"""The kernel takes no longer delay than 100."""


class Rs485(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rs485 = { ... }`: the driver of the port turns the line round, by RTS. The defaults suit most transceivers.

    Attributes:
        rts_on_send: the level of RTS while the port sends.
        rts_after_send: its level otherwise.
        delay_before_send_ms: from RTS to the first bit, in milliseconds.
        delay_after_send_ms: from the last bit to RTS, in milliseconds.
        rx_during_tx: hear what the port itself sends.
    """

    rts_on_send: bool = True
    rts_after_send: bool = False
    delay_before_send_ms: Milliseconds = 0
    delay_after_send_ms: Milliseconds = 0
    rx_during_tx: bool = False


class Port(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which port, and how it speaks. `socket://` ignores all but `port`: the server has line settings of its own.

    Attributes:
        port: absolute path, best a stable name in /dev/serial/by-id, or `socket://HOST:PORT` of a serial server.
        baud: bits per second.
        bytesize: data bits.
        parity: `none`, `even`, `odd`, `mark` or `space`. A byte of wrong parity arrives as NUL, which no number holds.
        stopbits: stop bits.
        flow: who may stop whom from sending: nobody, the lines RTS and CTS, or the bytes XON (11) and XOFF (13).
        dtr, rts: the level of the line while the port is open. The kernel itself raises both at every opening.
        reset: restart the board at every opening, by lowering DTR for a moment.
        rs485: have the driver turn an RS-485 line round; false leaves the port as it is.
    """

    port: str
    baud: Annotated[int, Meta(ge=50, le=20_000_000)] = 9600
    bytesize: Literal[5, 6, 7, 8] = 8
    parity: Literal["none", "even", "odd", "mark", "space"] = "none"
    stopbits: Literal[1, 2] = 1
    flow: Literal["none", "rtscts", "xonxoff"] = "none"
    dtr: bool = True
    rts: bool = True
    reset: bool = False
    rs485: bool | Rs485 = False


def check_port(settings: Port, key: str) -> None:
    """Whether the settings of the table at `key` can be those of a port at all. Touches nothing.

    Raises:
        SettingError: they cannot.
    """
    _check_name(settings.port, f"{key}.port")
    if settings.rs485 and settings.flow == "rtscts":
        about = [f"{key}.rs485", f"{key}.flow"]
        raise SettingError(
            about[0], 'turns the line round by RTS, which flow = "rtscts" is to control', about
        )
    if not settings.rts and (settings.rs485 or settings.flow == "rtscts"):
        owner = "rs485" if settings.rs485 else 'flow = "rtscts"'
        about = [f"{key}.rts", f"{key}.{owner.partition(' ')[0]}"]
        raise SettingError(about[0], f"has no effect: {owner} controls this line; leave it out", about)
    if settings.reset and not settings.dtr:
        about = [f"{key}.reset", f"{key}.dtr"]
        raise SettingError(about[0], "lowers DTR and raises it again, which dtr = false rules out", about)


def _check_name(port: str, key: str) -> None:
    address = SOCKET.match(port)
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
