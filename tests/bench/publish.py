"""An MQTT publisher that costs next to nothing: QoS 1 packets, written to a socket by hand.

As a program it publishes single readings at a steady pace: publish.py PORT PER_SECOND SECONDS
"""

import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import Final

DEVICES: Final = 50
SENSORS: Final = ("temperature", "pressure", "flow", "level")

WINDOW: Final = 1000
"""Messages sent ahead of their acknowledgement."""

REPLY: Final = 4
"""Bytes of a CONNACK as of a PUBACK."""

Message = tuple[str, bytes]


def single(number: int, value: bytes = b'{"value": 21.53}') -> Message:
    """Reading `number`: one value of one of 200 sensors."""
    return f"plant/boiler-{number % DEVICES}/{SENSORS[number // DEVICES % len(SENSORS)]}", value


def packed(number: int, readings: int) -> Message:
    """Payload `number`: so many readings of one of 50 devices."""
    members = ",".join(f'"s{place}":{21.5 + place}' for place in range(readings))
    return f"rack/boiler-{number % DEVICES}", f"{{{members}}}".encode()


class Publisher:
    """One connection (MQTT 3.1.1) to the broker on a loopback port."""

    def __init__(self, port: int) -> None:
        self._line = socket.create_connection(("127.0.0.1", port))
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line.sendall(
            _packet(0x10, _text("MQTT") + bytes([4, 2, 0, 0]) + _text(f"bench-{time.time_ns()}"))
        )
        self._sent, self._replies = 1, 0
        self._await_replies(0)

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish and wait until the broker has all of them."""
        for first in range(0, len(messages), WINDOW):
            part = messages[first : first + WINDOW]
            self._line.sendall(b"".join(self._publication(message) for message in part))
            self._await_replies(WINDOW)
        self._await_replies(0)

    def _publication(self, message: Message) -> bytes:
        topic, payload = message
        self._sent += 1
        return _packet(0x32, _text(topic) + struct.pack(">H", self._sent % 65_535 + 1) + payload)

    def _await_replies(self, left: int) -> None:
        while self._replies < (self._sent - left) * REPLY:
            data = self._line.recv(65_536)
            if not data:
                raise ConnectionError("the broker closed the connection")
            self._replies += len(data)


def _packet(kind: int, body: bytes) -> bytes:
    length, rest = bytearray(), len(body)
    while rest >= 128:
        length.append(rest % 128 | 128)
        rest //= 128
    return bytes([kind, *length, rest]) + body


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def main(port: int, rate: int, seconds: int) -> None:
    """Publish readings whose time is that of their publication, one by one."""
    publisher = Publisher(port)
    start = time.monotonic()
    for number in range(rate * seconds):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        publisher.publish([single(number, b'{"value":21.53,"time":%d}' % time.time_ns())])


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
