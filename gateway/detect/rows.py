"""Which sensor has which row."""

from typing import Final

import numpy as np

from gateway.detect.config import DetectConfig
from gateway.detect.events import Origin, Sensor
from gateway.detect.heard import Heard
from gateway.detect.poll import CORE, FRESH, Spools
from gateway.detect.rules import all_rules
from gateway.detect.rules.silence import Silence
from gateway.detect.state import Bools, Columns, Ints, Row, Table

Name = tuple[bytes | None, str, str]
"""Key in Kafka, device and sensor: what tells a sensor from all others."""

SPOOLED: Final = (("core", "spool"), ("stuck", "spool"), ("spike-aggregate", "spool"))
"""The fields of a row that hold numbers of spools."""

_FIRST: Final = 16


class Rows:
    """The rows of a bank: found by name, made, and dropped. The tables grow by doubling; free rows are used again.

    Attributes:
        core: see gateway.detect.poll.
        heard, spools, rules: what goes with them; silence: that rule.
        sensors: by row; None where it is free.
        arrived: offset of the last record of each row, be it judged or not; that of the oldest is the smallest.
        dirty: rows whose state has changed since it was last written.
    """

    def __init__(self, config: DetectConfig) -> None:
        self._config = config
        self.core = Columns(CORE, FRESH)
        self.heard = Heard()
        self.spools = Spools()
        self.silence = Silence(self.heard)
        self.rules = all_rules(self.silence)
        self.by_slot = {rule.slot: rule for rule in self.rules}
        self.table = Table({"core": self.core} | {rule.slot: rule.columns for rule in self.rules})
        self.sensors: list[Sensor | None] = []
        self.arrived: Ints = np.zeros(0, np.int64)
        self.dirty: Bools = np.zeros(0, np.bool_)
        self.index: dict[Name, int] = {}
        self._queue: list[tuple[int, int]] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.index)

    def sensor(self, row: int) -> Sensor:
        """Whose row it is."""
        sensor = self.sensors[row]
        assert sensor is not None, row  # noqa: S101 - a row in use has one
        return sensor

    def make(self, sensor: Sensor, saved: Row | None = None) -> tuple[int, set[str]]:
        """A row for a sensor that has none, fresh or as it was saved, and the slots of the rules that judge it."""
        if not self._free:
            self._grow()
        row = self._free.pop()
        if saved is None:
            self.table.reset(row)
        else:
            self.table.load(row, saved)
        self.sensors[row] = sensor
        self.index[(sensor.key, sensor.device, sensor.sensor)] = row
        self.heard.add(row, sensor.gateway)
        self.dirty[row] = False
        self.arrived[row] = self.core["offset"][row]
        judging = [rule.watch(row, sensor.device, sensor.sensor, self._config) for rule in self.rules]
        return row, {rule.slot for rule, judges in zip(self.rules, judging, strict=True) if judges}

    def begin_anew(self, row: int) -> None:
        """Forget what the values of a sensor were like. When it was heard of stays."""
        for name in ("number", "watched", "value", "before", "rises", "falls", "kinds", "known"):
            self.core[name][row] = self.core.fresh()[name]
        sensor = self.sensor(row)
        for rule in self.rules:
            if rule is not self.silence:
                rule.columns.reset(row)
                rule.watch(row, sensor.device, sensor.sensor, self._config)

    def drop(self, row: int) -> Sensor:
        """Free the row of a sensor."""
        sensor = self.sensor(row)
        del self.index[(sensor.key, sensor.device, sensor.sensor)]
        self.heard.drop(row, sensor.gateway)
        self.sensors[row] = None
        self.dirty[row] = False
        self._free.append(row)
        return sensor

    def oldest(self) -> int:
        """The row of the sensor that is unheard of for longest.

        `arrived` only rises: so who has not been heard of since the rows were last put in order is still older than all others.
        """
        while True:
            while self._queue:
                row, arrived = self._queue[-1]
                if self.sensors[row] is not None and self.arrived[row] == arrived:
                    return row
                self._queue.pop()
            rows = np.fromiter(self.index.values(), np.int64, len(self.index))
            rows = rows[np.argsort(-self.arrived[rows], kind="stable")]
            self._queue = list(zip(rows.tolist(), self.arrived[rows].tolist(), strict=True))

    def last(self, row: int) -> Origin:
        """The last reading that was judged of this sensor."""
        core = self.core
        spool, seq, time = (
            self.spools.id(int(core["spool"][row])),
            int(core["seq"][row]),
            int(core["time"][row]),
        )
        return Origin(spool, seq, time, float(core["value"][row]))

    def tidy(self) -> None:
        """Forget the ids of spools that no row speaks of."""
        if len(self.spools) <= 3 * self.table.size + 1000:
            return
        old, self.spools = self.spools, Spools()
        for part, field in SPOOLED:
            column = self.table.parts[part][field]
            column[:] = [self.spools.number(old.id(number)) for number in column.tolist()]

    def _grow(self) -> None:
        old, size = self.table.size, max(_FIRST, 2 * self.table.size)
        self.table.grow(size)
        for rule in self.rules:
            rule.settings.grow(size)
        self.heard.grow(size)
        self.sensors += [None] * (size - old)
        self.arrived = np.append(self.arrived, np.zeros(size - old, np.int64))
        self.dirty = np.append(self.dirty, np.zeros(size - old, np.bool_))
        self._free = list(range(size - 1, old - 1, -1))
