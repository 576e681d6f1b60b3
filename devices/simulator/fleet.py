"""Simulated devices that say what they measure, each in its turn, at a steady pace."""

from typing import Final

from devices.simulator.payloads import Form, Payload
from devices.simulator.plant import NANO, Plant

BEHIND: Final = NANO
"""Up to here what is late is caught up with. Beyond, whoever should take it did not, or the machine slept: it is left out."""


class Fleet:
    """All devices of a plant, spread evenly over the interval between two readings of each.

    The times are those of an even pace from `began` on, not of the calls, so that nothing drifts.

    Args:
        plant: the devices and their faults.
        form: how they write.
        interval: nanoseconds between two readings of a sensor.
        began: time of the first reading, in nanoseconds since 1970 UTC.
    """

    def __init__(self, plant: Plant, form: Form, interval: int, began: int) -> None:
        self._plant = plant
        self._form = form
        self._step = interval / len(plant.devices)
        self._began = began
        self._turn = 0

    def due(self, now: int, most: int) -> list[Payload]:
        """What is said until before `now`, in nanoseconds since 1970 UTC, since the last call, in its order.

        Once there are `most`, the rest is left for the next call. What is late by more than BEHIND is never said.
        """
        end = self._turn_at(now)
        if self._time(self._turn) < now - BEHIND:
            self._turn = self._turn_at(now - BEHIND)
        said: list[Payload] = []
        devices = self._plant.devices
        while self._turn < end and len(said) < most:
            time = self._time(self._turn)
            sensors = devices[self._turn % len(devices)]
            values = self._plant.values_at(sensors, time)
            said += self._form.payloads(sensors[0].device, values, time)
            self._turn += 1
        return said

    def _time(self, turn: int) -> int:
        return self._began + int(turn * self._step)

    def _turn_at(self, time: int) -> int:
        """The first turn that is not before `time`."""
        turn = max(0, int((time - self._began) / self._step))
        while self._time(turn) < time:
            turn += 1
        while turn and self._time(turn - 1) >= time:
            turn -= 1
        return turn
