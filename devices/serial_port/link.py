"""Opens what a serial source reads from: a port of this machine, or a serial server on the network.

Either way the result is a file descriptor that never blocks, reports its end, and has kept what arrived before.

A port is opened once per plug and kept open, and nothing here opens a port to see whether it is there: that alone can
restart a board, see devices.serial_port.tty.
"""

import os
import socket
from pathlib import Path
from re import Match
from typing import Final, Protocol

from devices.errors import SourceLost
from devices.serial_port.settings import SOCKET, Port
from devices.serial_port.tty import open_tty

CONNECT_WITHIN: Final = 5.0
"""Seconds that a serial server has for answering."""


class Link(Protocol):
    """What serial.Serial and socket.socket have in common."""

    def fileno(self) -> int:
        """The open file descriptor."""

    def close(self) -> None:
        """Close it."""


def open_link(settings: Port) -> Link:
    """Open the port. Blocks, for seconds if a server does not answer: call it in a worker thread.

    Raises:
        SourceLost, SourceRefused: see devices.errors.
    """
    address = SOCKET.match(settings.port)
    return _open_socket(settings.port, address) if address else open_tty(settings)


def still_named(port: str, link: Link) -> bool:
    """Whether the name `port` leads to the device that is open. The kernel may keep a dead device half alive."""
    if SOCKET.match(port):
        return True
    try:
        return os.path.samestat(Path(port).stat(), os.fstat(link.fileno()))
    except OSError:
        return False


def _open_socket(url: str, address: Match[str]) -> socket.socket:
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
