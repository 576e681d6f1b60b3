"""The state of all sensors: finds the rules of a reading's sensor and lets them judge it."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from devices.reading import is_name
from gateway.detect.config import DetectConfig
from gateway.detect.events import Finding, Rule, anomaly
from gateway.detect.limits import bounds
from gateway.detect.spike import Spike
from gateway.detect.text import duration
from gateway.wire import Anomaly, Reading

_LARGEST: Final = 1.7976931348623157e308
_CLOCK_STEP: Final = 10
"""So many late readings in a row, each later than the one before, are a clock set back, not stragglers."""

Key = bytes | None
"""The Kafka key of a record: names the device, and goes on to its anomalies."""


class Counts(msgspec.Struct):
    """What became of the readings, since the start.

    Attributes:
        judged: seen by the rules.
        not_numeric: booleans, texts and what is no finite number.
        retained: values of some earlier time, kept by the MQTT broker.
        repeated: read again from Kafka, or sent again with the same time.
        late: older than one of the same sensor that was judged before.
        unnamed: whose device or sensor name no gateway would send.
        raised, updated, cleared: events of anomalies.
        forgotten: sensors that had to make room for others.
    """

    judged: int = 0
    not_numeric: int = 0
    retained: int = 0
    repeated: int = 0
    late: int = 0
    unnamed: int = 0
    raised: int = 0
    updated: int = 0
    cleared: int = 0
    forgotten: int = 0


class _Row:
    """One sensor: its rules, and where it stands in time and in its spool."""

    __slots__ = ("late_run", "late_time", "rules", "seq", "spool", "time")

    def __init__(self, rules: list[Rule], reading: Reading) -> None:
        self.rules = rules
        self.time = reading.time
        self.spool = reading.spool
        self.seq = reading.seq
        self.late_time = reading.time
        self.late_run = 0


class Bank:
    """All sensors of one process, `config.max_sensors` of them at most.

    Deterministic: the same readings give the same anomalies, however they are cut into batches.

    Attributes:
        counts: see Counts.
    """

    def __init__(self, config: DetectConfig) -> None:
        self._config = config
        self._rows: OrderedDict[tuple[Key, str, str], _Row] = OrderedDict()
        self.counts = Counts()

    @property
    def sensors(self) -> int:
        """Sensors remembered now."""
        return len(self._rows)

    @property
    def open(self) -> int:
        """Anomalies open now."""
        return self.counts.raised - self.counts.cleared

    def judge(self, readings: Iterable[tuple[Key, Reading]]) -> list[tuple[Key, Anomaly]]:
        """Judge readings in the order in which Kafka has them; what there is to say, in that order."""
        said: list[tuple[Key, Anomaly]] = []
        for key, reading in readings:
            value = reading.value
            if isinstance(value, (bool, str)) or not -_LARGEST <= value <= _LARGEST:
                self.counts.not_numeric += 1
                continue
            if reading.flags and "retained" in reading.flags:
                self.counts.retained += 1
                continue
            name = (key, reading.device, reading.sensor)
            row = self._rows.get(name)
            if row is None:
                if not (is_name(reading.device) and is_name(reading.sensor)):
                    self.counts.unnamed += 1
                    continue
                elapsed = 0.0
                row = self._rows[name] = _Row(self._rules(reading), reading)
                if len(self._rows) > self._config.max_sensors:
                    self._forget_oldest(said)
            else:
                if not self._is_next(row, reading):
                    continue
                elapsed = max(0, reading.time - row.time) / 1e9
                row.time, row.spool, row.seq, row.late_run = reading.time, reading.spool, reading.seq, 0
                self._rows.move_to_end(name)
            self.counts.judged += 1
            for rule in row.rules:
                finding = rule.judge(reading, value, elapsed)
                if finding is not None:
                    self._say(said, key, rule, finding, reading)
        return said

    def _rules(self, reading: Reading) -> list[Rule]:
        """The rules of a sensor heard of for the first time."""
        rules: list[Rule] = []
        if limit := self._config.limit_for(reading.device, reading.sensor):
            rules += bounds(limit)
        if self._config.spike.enabled:
            rules.append(Spike(self._config.spike))
        return rules

    def _is_next(self, row: _Row, reading: Reading) -> bool:
        """Whether `reading` comes after all that was judged of its sensor; counted if not."""
        if (reading.seq <= row.seq and reading.spool == row.spool) or reading.time == row.time:
            self.counts.repeated += 1
            return False
        if reading.time > row.time:
            return True
        row.late_run = row.late_run + 1 if reading.time > row.late_time else 1
        row.late_time = reading.time
        if row.late_run == _CLOCK_STEP:
            return True
        self.counts.late += 1
        return False

    def _forget_oldest(self, said: list[tuple[Key, Anomaly]]) -> None:
        (key, _, _), row = self._rows.popitem(last=False)
        self.counts.forgotten += 1
        for rule in row.rules:
            if (first := rule.first) is not None:
                sentence = (
                    f"no longer watched, {duration(row.time - first.time)} after it was raised: more than "
                    f"{self._config.max_sensors} sensors report, and this one has been silent for longest"
                )
                finding = Finding("cleared", first, sentence, 0.0, None, None)
                self._say(said, key, rule, finding, first)

    def _say(
        self, said: list[tuple[Key, Anomaly]], key: Key, rule: Rule, finding: Finding, reading: Reading
    ) -> None:
        match finding.event:
            case "raised":
                self.counts.raised += 1
            case "updated":
                self.counts.updated += 1
            case "cleared":
                self.counts.cleared += 1
        said.append((key, anomaly(rule, finding, reading)))
