"""Simulated devices as a whole: at any time the readings of all their sensors, faults included."""

from collections.abc import Callable, Iterable

from devices.reading import Quality, Reading
from devices.simulator.faults import Fault, Schedule, Truth
from devices.simulator.sensors import sensors_of
from devices.simulator.settings import Settings
from devices.simulator.signals import HOUR

NANO = 1_000_000_000


class Plant:
    """The devices of one source and what goes wrong with them.

    Args:
        source: name of the source that its readings and truths carry.
        settings: see there; the same settings, source, times and `began` give the same readings, for ever.
        began: time of its first readings, in nanoseconds since 1970 UTC. Nothing goes wrong in the first slot: an
            hour divided by `faults_per_hour`.
        on_fault: told of each fault when its first reading is made or suppressed.
    """

    def __init__(
        self, source: str, settings: Settings, began: int, on_fault: Callable[[Truth], None]
    ) -> None:
        names = [f"{settings.prefix}{number}" for number in range(1, settings.count + 1)]
        self._source = source
        self._sensors = [sensor for name in names for sensor in sensors_of(name, settings.seed)]
        self._schedule = (
            Schedule(
                self._sensors,
                settings.faults,
                began / NANO,
                HOUR / settings.faults_per_hour,
                settings.interval,
                settings.seed,
            )
            if settings.faults_per_hour
            else None
        )
        self._on_fault = on_fault
        self._told = 0.0

    def readings_at(self, time: int, received: int) -> list[Reading]:
        """The readings of all devices, in their order, at `time`; both times in nanoseconds since 1970 UTC.

        Ask for times in their order.
        """
        t = time / NANO
        fault = self._schedule.fault_at(t) if self._schedule else None
        if fault and fault.start != self._told:
            self._told = fault.start
            self._on_fault(self._truth(fault, time))
        readings = []
        for sensor in self._sensors:
            spoiled = fault is not None and fault.sensor is sensor
            value = fault.value_at(t) if fault and spoiled else sensor.signal.value_at(t)
            if value is not None:
                readings.append(
                    Reading(
                        sensor.device,
                        sensor.name,
                        round(value, sensor.digits),
                        time,
                        self._source,
                        received,
                        sensor.unit,
                        Quality.SIMULATED,
                    )
                )
        return readings

    def _truth(self, fault: Fault, time: int) -> Truth:
        return Truth(
            source=self._source,
            device=fault.sensor.device,
            sensor=fault.sensor.name,
            kind=fault.kind,
            start=time,
            end=int(fault.end * NANO),
            magnitude=round(fault.magnitude, fault.sensor.digits),
            words=fault.words(),
        )


def serial_lines(readings: Iterable[Reading]) -> list[str]:
    """What devices on a serial line would say: one line a device, `device=press-1 temperature=21.53 humidity=40.2`.

    Lines have no line end.
    """
    said: dict[str, list[str]] = {}
    for reading in readings:
        said.setdefault(reading.device, [f"device={reading.device}"]).append(
            f"{reading.sensor}={reading.value}"
        )
    return [" ".join(words) for words in said.values()]
