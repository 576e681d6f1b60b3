"""What numbers its messages and loses none of them: publishers over MQTT, and a writer on a serial line."""

import contextlib
import select
import socket
import threading
import time
from typing import Final, Protocol, Self

from judge import SENSOR
from mosquitto import HOST
from pty_port import SerialLine
from waiting import wait_until

TICK: Final = 0.02
MQTT_RATE: Final = 200
"""Messages a second, of all devices together."""

SERIAL_RATE: Final = 50
"""Lines a second."""

WINDOW: Final = 500
"""Messages not yet acknowledged, at most."""

RECONNECT: Final = 0.5
ANSWER: Final = 5.0
"""Seconds between two attempts at the broker, and until it must answer."""

CONNECT: Final = b"\x10\x15\0\4MQTT\4\2\0\0\0\x09publisher"
CONNACK: Final = b"\x20\2\0\0"
PUBLISH_QOS_1: Final = 0x32
DUP: Final = 0x08
PUBACK_BYTES: Final = 4
"""MQTT 3.1.1, in which these packets have fixed lengths."""

DEVICES: Final = tuple(f"press-{number}" for number in range(8))
LINE: Final = "line"
"""The device on the serial line has the name of its source."""


class Input(Protocol):
    """Numbers its messages per device, from 0.

    Attributes:
        said: by device, when each number was given away (monotonic nanoseconds); the place in the list is the number.
    """

    said: dict[str, list[int]]

    def tick(self, due: int) -> None:
        """Give away so many messages more, or remember to; never blocks for long."""

    @property
    def idle(self) -> bool:
        """Whether everything was taken by the other side."""


class MqttInput:
    """Publishes with QoS 1 and in order; what was not acknowledged is sent again, in order, on the next connection.

    By hand, since paho-mqtt lets new messages overtake those that it sends again.
    """

    def __init__(self, port: int) -> None:
        self.said: dict[str, list[int]] = {device: [] for device in DEVICES}
        self._port = port
        self._socket: socket.socket | None = None
        self._next_attempt = 0.0
        self._received = b""
        self._turn = self._owed = 0
        self._waiting: dict[int, bytes] = {}

    def tick(self, due: int) -> None:
        """See Input."""
        self._owed += due
        try:
            if self._socket is None and not self._connect():
                return
            self._hear()
            while self._owed and len(self._waiting) < WINDOW:
                self._say()
        except OSError:
            self.close()

    @property
    def idle(self) -> bool:
        """See Input."""
        return not self._owed and not self._waiting

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _connect(self) -> bool:
        if time.monotonic() < self._next_attempt:
            return False
        self._next_attempt = time.monotonic() + RECONNECT
        self._socket = socket.create_connection((HOST, self._port), ANSWER)
        self._socket.sendall(CONNECT)
        self._received = b""
        while len(self._received) < len(CONNACK):
            self._received += self._read()
        if not self._received.startswith(CONNACK):
            raise ConnectionError(f"mosquitto refuses the publisher: {self._received!r}")
        self._received = self._received[len(CONNACK) :]
        for packet in self._waiting.values():
            self._socket.sendall(bytes([packet[0] | DUP]) + packet[1:])
        return True

    def _say(self) -> None:
        assert self._socket is not None
        device = DEVICES[self._turn % len(DEVICES)]
        said = self.said[device]
        mid = self._turn % 65_535 + 1
        topic = f"plant/{device}/{SENSOR}".encode()
        body = len(topic).to_bytes(2, "big") + topic + mid.to_bytes(2, "big") + str(len(said)).encode()
        packet = self._waiting[mid] = bytes([PUBLISH_QOS_1, len(body)]) + body
        self._turn += 1
        self._owed -= 1
        said.append(time.monotonic_ns())
        self._socket.sendall(packet)

    def _hear(self) -> None:
        assert self._socket is not None
        while select.select([self._socket], [], [], 0)[0]:
            self._received += self._read()
        while len(self._received) >= PUBACK_BYTES:
            self._waiting.pop(int.from_bytes(self._received[2:PUBACK_BYTES], "big"), None)
            self._received = self._received[PUBACK_BYTES:]

    def _read(self) -> bytes:
        assert self._socket is not None
        if not (data := self._socket.recv(65_536)):
            raise ConnectionResetError("mosquitto closed the connection")
        return data


class SerialInput:
    """Writes lines. What the kernel has taken is given away."""

    def __init__(self, line: SerialLine) -> None:
        self.said: dict[str, list[int]] = {LINE: []}
        self._line = line
        self._owed = 0
        self._rest = b""
        self._device = ""

    def tick(self, due: int) -> None:
        """See Input."""
        self._owed += due
        while self._owed:
            said = self.said[LINE]
            if self._device != self._line_device():
                self._rest = b""  # begun on a line that was unplugged: say it again
            data = self._rest or f"{SENSOR}={len(said)}\n".encode()
            self._device = self._line_device()
            written = self._line.offer(data)
            self._rest = data[written:] if written else self._rest
            if written < len(data):
                return
            said.append(time.monotonic_ns())
            self._owed -= 1

    @property
    def idle(self) -> bool:
        """See Input."""
        return not self._owed

    def _line_device(self) -> str:
        with contextlib.suppress(IndexError, OSError):
            return self._line.device
        return ""


class Inputs:
    """All inputs in a thread of their own, at their rates. Use as a context manager; begins paused.

    Attributes:
        mqtt, serial: them.
    """

    def __init__(self, mqtt: MqttInput, serial: SerialInput) -> None:
        self.mqtt = mqtt
        self.serial = serial
        self._running = threading.Event()
        self._ticking = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inputs")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self.mqtt.close()

    @property
    def said(self) -> dict[str, list[int]]:
        """Of all inputs. See Input."""
        return {**self.mqtt.said, **self.serial.said}

    def resume(self) -> None:
        """Begin, or go on."""
        self._running.set()

    def pause(self) -> None:
        """Say nothing new; on return everything was taken by the other side.

        Raises:
            AssertionError: it was not, after a minute.
        """
        with self._ticking:
            self._running.clear()
        wait_until(lambda: self.mqtt.idle, "the MQTT broker to acknowledge everything", 60)
        wait_until(lambda: self.serial.idle, "the serial line to take everything", 60)

    def _run(self) -> None:
        began, ticks = time.monotonic(), 0
        while not self._ending.is_set():
            with self._ticking:
                on = self._running.is_set()
                self.mqtt.tick(round(MQTT_RATE * TICK) if on else 0)
                self.serial.tick(round(SERIAL_RATE * TICK) if on else 0)
            ticks += 1
            time.sleep(max(0.0, began + ticks * TICK - time.monotonic()))
