"""Numbers, published to an MQTT broker at a steady pace, so that what is missing or repeated can be counted."""

import threading
import time
from collections.abc import Sequence
from typing import Final, Self

from mosquitto import HOST, Mosquitto
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from gateway import wire

TICK: Final = 0.02


class Numbers:
    """Publishes 0, 1, 2 and so on with QoS 1 to plant/d-0/count to plant/d-9/count within the context.

    Attributes:
        sent: how many; all of them are acknowledged by the broker once the context is left.
    """

    def __init__(self, broker: Mosquitto, per_second: int) -> None:
        self.sent = 0
        self._per_tick = round(per_second * TICK)
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(1000)
        self._client.connect(HOST, broker.port)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="numbers")

    def __enter__(self) -> Self:
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _run(self) -> None:
        began, due, last = time.monotonic(), 0.0, None
        while not self._ending.is_set():
            for _ in range(self._per_tick):
                last = self._publish()
            due += TICK
            self._ending.wait(max(0.0, began + due - time.monotonic()))
        if last is not None:
            last.wait_for_publish(20)

    def _publish(self) -> MQTTMessageInfo:
        info = self._client.publish(f"plant/d-{self.sent % 10}/count", str(self.sent), qos=1)
        self.sent += 1
        return info


def missing_and_repeated(readings: Sequence[wire.Reading], sent: int) -> tuple[list[int], list[int]]:
    """Of numbers below `sent`: those that no reading has, and those that one has again without saying `redelivered`."""
    seen: set[int] = set()
    repeated: list[int] = []
    for one in readings:
        number = int(one.value)
        if number in seen and "redelivered" not in one.flags:
            repeated.append(number)
        seen.add(number)
    return [number for number in range(sent) if number not in seen], repeated
