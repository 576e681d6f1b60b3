"""paho's client with fewer system calls: it makes three to read a message and one to acknowledge it.

Measured, that is a third of what a message costs. So input is read ahead, and acknowledgements are queued in one piece.
paho has no public place for either, nor for the length of a packet that is still arriving: what is used of its inside
is in this file.
"""

import contextlib
import ssl
import struct
from collections.abc import Iterable
from typing import Any, Final

from paho.mqtt.client import Client
from paho.mqtt.enums import MessageType

AHEAD: Final = 64 * 1024
"""Bytes that are read from the socket in one go."""

ACKNOWLEDGEMENT: Final = struct.Struct("!BBH")
"""A PUBACK: its type, the length of the rest, and the packet id."""


class BufferedClient(Client):
    """Used as paho's, from one thread; over one connection only.

    Attributes:
        received: bytes that came.
        refused: what TLS said when the broker ended the connection for a reason of its own.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._ahead = b""
        self._place = 0
        self.received = 0
        self.refused: ssl.SSLError | None = None

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Queue an acknowledgement of each of these messages of QoS 1. loop_write() sends them."""
        packets = b"".join(ACKNOWLEDGEMENT.pack(MessageType.PUBACK, 2, mid) for mid in mids)
        if packets:
            self._packet_queue(MessageType.PUBACK, packets, 0, 1)

    def has_input(self) -> bool:
        """Whether loop_read() has something to read though the socket itself may have not."""
        sock = self.socket()
        if sock is None:
            return False
        return self._place < len(self._ahead) or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)

    def arriving(self) -> int:
        """Bytes of the packet that is arriving.

        MQTT 3.1.1 knows no way to ask a broker for less.
        """
        length: int = self._in_packet["remaining_length"]
        return length

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._place == len(self._ahead):
            self._ahead, self._place = self._from_socket(), 0
            self.received += len(self._ahead)
        end = min(self._place + bufsize, len(self._ahead))
        data = self._ahead[self._place : end]
        self._place = end
        return data

    def _from_socket(self) -> bytes:
        try:
            return super()._sock_recv(AHEAD)
        except ssl.SSLError as error:
            self.refused = error
            raise

    def _sock_send(self, buf: bytes | bytearray) -> int:
        try:
            return super()._sock_send(buf)
        except (ssl.SSLEOFError, ConnectionError):
            # With TLS 1.3 a broker judges our certificate when we are connected already: its reason lies there to be read.
            with contextlib.suppress(OSError):
                self._from_socket()
            raise
