"""Simulated devices as a whole: at any time the readings of all their sensors, faults included."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, cast

from devices.reading import Quality, Reading
from devices.simulator import chance
from devices.simulator.faults import AnyKind, Fault, Schedule, Trouble, Truth, Watch
from devices.simulator.sensors import Sensor, sensors_of
from devices.simulator.settings import Settings, models_of
from devices.simulator.signals import HOUR

NANO: Final = 1_000_000_000

ALL: Final = slice(None)


class Plant:
    """The devices of one source and what goes wrong with them.

    Args:
        source: name of the source that its readings and truths carry.
        settings: see there; the same settings, source, times and `began` give the same readings, for ever.
        began: time of its first readings, in nanoseconds since 1970 UTC. Nothing goes wrong in the first slot: an
            hour divided by `faults_per_hour`.
        on_fault: told of each fault when its first reading is made or suppressed.

    Attributes:
        devices: the sensors of each device.
        schedule: of what goes wrong, troubles included, which somebody else makes; None: nothing does.
        touched: readings that were changed or suppressed so far, by kind of fault.
    """

    def __init__(
        self, source: str, settings: Settings, began: int, on_fault: Callable[[Truth], None]
    ) -> None:
        models = models_of(settings)
        self.devices = [
            sensors_of(f"{settings.prefix}{number}", settings.seed, models)
            for number in range(1, settings.count + 1)
        ]
        self.schedule = schedule_of(
            settings, began, [sensor for sensors in self.devices for sensor in sensors]
        )
        self.touched: Counter[str] = Counter()
        self._source = source
        self._watch = Watch(self.schedule)
        self._on_fault = on_fault
        self._told: Fault | None = None

    def values_at(self, sensors: Sequence[Sensor], time: int) -> list[float | None]:
        """What the sensors of one device show at `time`, not rounded; None: nothing. Ask for times in their order."""
        t = time / NANO
        values: list[float | None] = [sensor.value_at(t) for sensor in sensors]
        fault = self._watch.at(t)
        if fault is not None and not isinstance(fault, Trouble):
            for place, sensor in enumerate(sensors):
                if sensor is fault.sensor:
                    values[place] = fault.value_at(t)
                    self.touched[fault.kind] += 1
                    self._tell(fault, time)
        return values

    def readings_at(self, time: int, received: int, devices: slice = ALL) -> list[Reading]:
        """The readings of these devices, in their order, at `time`; both times in nanoseconds since 1970 UTC.

        Ask for times in their order.
        """
        return [
            Reading(
                sensor.device,
                sensor.model.name,
                round(value, sensor.model.digits),
                time,
                self._source,
                received,
                sensor.model.unit,
                Quality.SIMULATED,
            )
            for sensors in self.devices[devices]
            for sensor, value in zip(sensors, self.values_at(sensors, time), strict=True)
            if value is not None
        ]

    def _tell(self, fault: Fault, time: int) -> None:
        if fault is not self._told:
            self._told = fault
            self._on_fault(
                Truth(
                    source=self._source,
                    device=fault.sensor.device,
                    sensor=fault.sensor.model.name,
                    kind=fault.kind,
                    start=time,
                    end=int(fault.end * NANO),
                    magnitude=round(fault.magnitude, fault.sensor.model.digits),
                    words=fault.words(),
                )
            )


def schedule_of(settings: Settings, began: int, sensors: Sequence[Sensor]) -> Schedule | None:
    """When what goes wrong, by the settings; None: nothing does."""
    if not settings.faults_per_hour:
        return None
    slot = HOUR / settings.faults_per_hour
    key = chance.key_of(settings.seed, "faults")
    kinds = cast("tuple[AnyKind, ...]", settings.faults)  # of which check() has seen to it
    return Schedule(sensors, kinds, began / NANO, slot, settings.interval, key)
