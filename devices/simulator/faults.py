"""What goes wrong on purpose, when, and the record of it that a detector can be judged by."""

import math
from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec

from devices.simulator import chance
from devices.simulator.sensors import Sensor

Kind = Literal["spike", "level", "stuck", "silence"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_LONGEST: Final = {"level": 60.0, "stuck": 300.0, "silence": 300.0}
_SHARE: Final = 0.3
"""The part of its slot that a fault lasts at most, so that the sensor is seen healthy between two faults."""


class Truth(msgspec.Struct, frozen=True):
    """A fault that was injected, as the truth file tells it, one JSON object a line.

    Attributes:
        source, device, sensor: where.
        kind: `spike` (one reading far off), `level` (shifted out of the usual range), `stuck` (one value held) or
            `silence` (no readings).
        start: time of the first reading it changed or suppressed, in nanoseconds since 1970 UTC.
        end: when it is over, likewise; a simulator that is stopped before then stops the fault with it.
        magnitude: the change in the sensor's unit (spike, level), or how long it lasts in seconds (stuck, silence).
        words: the same for people.
    """

    source: str
    device: str
    sensor: str
    kind: Kind
    start: int
    end: int
    magnitude: float
    words: str


class Fault(msgspec.Struct, frozen=True):
    """Something that is wrong with one sensor from `start` until before `end`, in seconds since 1970 UTC.

    Attributes:
        magnitude: see Truth.
    """

    kind: Kind
    sensor: Sensor
    start: float
    end: float
    magnitude: float

    def value_at(self, t: float) -> float | None:
        """What the sensor shows at `t`, within the fault, in place of its signal; None: it says nothing."""
        match self.kind:
            case "spike" | "level":
                return self.sensor.signal.value_at(t) + self.magnitude
            case "stuck":
                return self.sensor.signal.value_at(self.start)
            case "silence":
                return None

    def words(self) -> str:
        """What is wrong, in words, such as `spike of +2.31 °C, 23 times the noise`."""
        sensor = self.sensor
        change = f"{self.magnitude:+.{sensor.digits}f} {sensor.unit}"
        match self.kind:
            case "spike":
                return f"spike of {change}, {abs(self.magnitude) / sensor.sigma:.0f} times the noise"
            case "level":
                return (
                    f"level shifted by {change}, usual range {sensor.low:g} to {sensor.high:g} {sensor.unit}"
                )
            case "stuck":
                value = self.sensor.signal.value_at(self.start)
                return f"stuck at {value:.{sensor.digits}f} {sensor.unit} for {self.magnitude:.1f} s"
            case "silence":
                return f"silent for {self.magnitude:.1f} s"


class Schedule(msgspec.Struct, frozen=True):
    """One fault in each slot of time but the first, which shows a detector what is usual. Pure, as signals are.

    Attributes:
        sensors: the sensors to spoil; each slot draws one of them.
        kinds: the kinds of fault, taken in turn.
        began: beginning of the first slot, in seconds since 1970 UTC.
        slot: length of a slot in seconds.
        interval: seconds between two readings: a spike lasts one reading.
        seed: another seed, other faults.
    """

    sensors: Sequence[Sensor]
    kinds: Sequence[Kind]
    began: float
    slot: float
    interval: float
    seed: int

    def fault_at(self, t: float) -> Fault | None:
        """The fault that is on at `t`."""
        number = int((t - self.began) // self.slot)
        if number < 1:
            return None
        fault = self._fault(number)
        return fault if fault.start <= t < fault.end else None

    def _fault(self, number: int) -> Fault:
        def drawn(what: str) -> float:
            return chance.uniform(self.seed, "fault", number, what)

        kind = self.kinds[(number - 1) % len(self.kinds)]
        sensor = self.sensors[int(drawn("sensor") * len(self.sensors))]
        length = self.interval if kind == "spike" else min(self.slot * _SHARE, _LONGEST[kind])
        start = self.began + self.slot * number + drawn("start") * (self.slot - length)
        return Fault(kind, sensor, start, start + length, _magnitude(kind, sensor, length, drawn("size")))


def _magnitude(kind: Kind, sensor: Sensor, length: float, size: float) -> float:
    match kind:
        case "spike":
            up = 2 * size - 1
            return sensor.sigma * math.copysign(20 + 20 * abs(up), up)
        case "level":
            # Wider than the usual range: out of it from anywhere within.
            return (sensor.high - sensor.low) * (1.2 + 0.5 * size)
        case _:
            return length
