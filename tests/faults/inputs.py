"""What numbers its messages and loses none of them: publishers over MQTT, and a writer on a serial line."""

import contextlib
import threading
import time
from typing import Final, Protocol, Self

from judge import SENSOR
from mosquitto import HOST
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from pty_port import SerialLine
from waiting import wait_until

TICK: Final = 0.02
MQTT_RATE: Final = 200
"""Messages a second, of all devices together."""

SERIAL_RATE: Final = 50
"""Lines a second."""

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
    """Publishes with QoS 1, over a session that survives the broker: what is not acknowledged is sent again."""

    def __init__(self, port: int) -> None:
        self.said: dict[str, list[int]] = {device: [] for device in DEVICES}
        self._turn = 0
        self._waiting: set[int] = set()
        self._early: set[int] = set()
        self._lock = threading.Lock()
        self._client = Client(CallbackAPIVersion.VERSION2, "publisher", clean_session=False)
        self._client.max_inflight_messages_set(200)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = lambda _client, _data, mid, _code, _properties: self._acknowledged(mid)
        self._client.connect(HOST, port)
        self._client.loop_start()

    def tick(self, due: int) -> None:
        """See Input."""
        for _ in range(due):
            device = DEVICES[self._turn % len(DEVICES)]
            self._turn += 1
            said = self.said[device]
            said.append(time.monotonic_ns())
            info = self._client.publish(f"plant/{device}/{SENSOR}", str(len(said) - 1), qos=1)
            with self._lock:
                if info.mid in self._early:
                    self._early.remove(info.mid)
                else:
                    self._waiting.add(info.mid)

    @property
    def idle(self) -> bool:
        """See Input."""
        with self._lock:
            return not self._waiting

    def close(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client.loop_stop()

    def _acknowledged(self, mid: int) -> None:
        with self._lock:
            if mid in self._waiting:
                self._waiting.remove(mid)
            else:
                self._early.add(mid)  # before publish() has returned


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
