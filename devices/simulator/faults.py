"""What goes wrong on purpose, when, and the record of it that a detector or a gateway can be judged by.

Faults spoil the values of one sensor; troubles spoil what carries them, and exist only where something does.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal, cast, get_args

import msgspec

from devices.simulator import chance
from devices.simulator.sensors import Sensor, Usual

Kind = Literal["spike", "drift", "level", "stuck", "noise", "silence"]
TroubleKind = Literal["garbage", "torn", "split", "disconnect"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
TROUBLES: Final[tuple[TroubleKind, ...]] = get_args(TroubleKind)
AnyKind = Literal[Kind, TroubleKind]

_LONGEST: Final = {
    "drift": 300.0,
    "level": 60.0,
    "stuck": 300.0,
    "noise": 60.0,
    "silence": 300.0,
    "disconnect": 10.0,
}
_SHARE: Final = 0.3
"""The part of its slot that a fault lasts at most, so that the sensor is seen healthy between two faults."""

SHORTEST: Final = 1e-3
"""Seconds that a spike lasts where readings have no interval."""


class Truth(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fault or trouble that was injected, as the truth file tells it, one JSON object a line.

    Attributes:
        source, device, sensor: where; of a trouble there is no sensor, and of a disconnection no device.
        kind: of a fault: `spike` (one reading far off), `drift` (runs away), `level` (shifted out of the usual
            range), `stuck` (one value held), `noise` (a burst of noise), `silence` (no readings).
            Of a trouble: `garbage` (a payload overwritten with noise), `torn` (cut off), `split` (sent in two
            pieces with a pause), `disconnect` (the link is gone for a while).
        start: time of the first reading it changed or suppressed, in nanoseconds since 1970 UTC.
        end: when it is over, likewise; a simulator that is stopped before then stops the fault with it.
        magnitude: the change in the sensor's unit (spike, level; drift: at its end; noise: its standard deviation);
            how long it lasts in seconds (stuck, silence, split, disconnect); bytes (garbage: overwritten, torn:
            missing).
        words: the same for people.
        payload: of a trouble: number of the first payload it touched, counted from 1 in the order of sending.
        payloads, readings: of a trouble: how many it touched. Those of garbage and torn arrive as no readings, those of
            a disconnection were never sent, those of split arrive whole.
        bytes: of a trouble: on the wire, of the payloads it touched.
    """

    source: str
    device: str
    sensor: str
    kind: AnyKind
    start: int
    end: int
    magnitude: float
    words: str
    payload: int = 0
    payloads: int = 0
    readings: int = 0
    bytes: int = 0


class Trouble(msgspec.Struct, frozen=True):
    """Something that is wrong with what carries readings, from `start` until before `end`, in seconds since 1970 UTC."""

    kind: TroubleKind
    start: float
    end: float


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
                return self.sensor.value_at(t) + self.magnitude
            case "drift":
                return self.sensor.value_at(t) + self.magnitude * (t - self.start) / (self.end - self.start)
            case "stuck":
                return self.sensor.value_at(self.start)
            case "noise":
                burst = chance.normal(~self.sensor.key, int(t * 1e6))
                return self.sensor.value_at(t) + self.magnitude * burst
            case "silence":
                return None

    def words(self) -> str:
        """What is wrong, in words, such as `spike of +2.31 °C, 23 times the noise`."""
        model, usual = self.sensor.model, self.sensor.usual()
        size = f"{self.magnitude:.{model.digits}f} {model.unit}".rstrip()
        change = size if self.magnitude < 0 else f"+{size}"
        times = f"{abs(self.magnitude) / usual.sigma:.0f} times the noise"
        length = f"{self.end - self.start:.1f} s"
        usually = f"usual range {usual.low:g} to {usual.high:g} {model.unit}".rstrip()
        match self.kind:
            case "spike":
                return f"spike of {change}, {times}"
            case "drift":
                return f"drifts by {change} in {length}, {usually}"
            case "level":
                return f"level shifted by {change}, {usually}"
            case "stuck":
                value = self.sensor.value_at(self.start)
                return f"stuck at {value:.{model.digits}f} {model.unit}".rstrip() + f" for {length}"
            case "noise":
                return f"noise of {size} for {length}, {times}"
            case "silence":
                return f"silent for {length}"


class Schedule(msgspec.Struct, frozen=True):
    """One fault or trouble in each slot of time but the first, which shows a detector what is usual. Pure, as signals are.

    Attributes:
        sensors: the sensors to spoil; each slot draws one of them. None: `kinds` are troubles only.
        kinds: the kinds of fault and trouble, taken in turn.
        began: beginning of the first slot, in seconds since 1970 UTC.
        slot: length of a slot in seconds.
        interval: seconds between two readings: a spike lasts one reading.
        key: another key, other faults.
    """

    sensors: Sequence[Sensor]
    kinds: Sequence[AnyKind]
    began: float
    slot: float
    interval: float
    key: int

    def number_at(self, t: float) -> int:
        """The slot that `t` is in, from 0."""
        return int((t - self.began) // self.slot)

    def fault_in(self, number: int) -> Fault | Trouble | None:
        """What goes wrong within this slot."""
        if number < 1:
            return None

        def drawn(what: int) -> float:
            return chance.uniform(self.key, 3 * number + what)

        kind = self.kinds[(number - 1) % len(self.kinds)]
        reading = max(self.interval, SHORTEST)
        share = self.slot * _SHARE
        length = max(reading, min(share, _LONGEST[kind])) if kind in _LONGEST else reading
        start = self.began + self.slot * number + drawn(0) * max(0.0, self.slot - length)
        if kind in TROUBLES:
            return Trouble(kind, start, start + length)
        kind = cast("Kind", kind)
        sensor = self.sensors[int(drawn(1) * len(self.sensors))]
        return Fault(kind, sensor, start, start + length, _magnitude(kind, sensor.usual(), length, drawn(2)))


class Watch:
    """Looks at a schedule for what is on, without drawing it anew at each look."""

    def __init__(self, schedule: Schedule | None) -> None:
        self._schedule = schedule
        self._number = 0
        self._found: Fault | Trouble | None = None

    def at(self, t: float) -> Fault | Trouble | None:
        """What is on at `t`, in seconds since 1970 UTC."""
        if self._schedule is None:
            return None
        number = self._schedule.number_at(t)
        if number != self._number:
            self._number = number
            self._found = self._schedule.fault_in(number)
        found = self._found
        return found if found is not None and found.start <= t < found.end else None


def _magnitude(kind: Kind, usual: Usual, length: float, size: float) -> float:
    match kind:
        case "spike":
            up = 2 * size - 1
            return usual.sigma * math.copysign(20 + 20 * abs(up), up)
        case "level" | "drift":
            # Wider than the usual range: out of it from anywhere within.
            return max(usual.high - usual.low, 10 * usual.sigma) * (1.2 + 0.5 * size)
        case "noise":
            return usual.sigma * (10 + 10 * size)
        case _:
            return length
