"""The state of all sensors of one partition, and the rules that judge them."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from devices.reading import is_name
from gateway.detect.arrange import Records, arrange, remember
from gateway.detect.config import DetectConfig
from gateway.detect.counts import Counts
from gateway.detect.events import Finding, Said, Sensor, type_of_grade
from gateway.detect.poll import SECOND, YEAR, Poll
from gateway.detect.rows import Name, Rows
from gateway.detect.rules.rule import Rule, Say
from gateway.detect.rules.silence import Silence
from gateway.detect.rules.spike import Spike
from gateway.detect.snapshot import StateError
from gateway.detect.state import LONG_AGO, Floats, Ints
from gateway.detect.telling import Teller
from gateway.detect.writing import Writer
from gateway.wire import CLOCK_UNSET, RECOVERED, Arrival, Command

__all__ = ["Arrival", "Bank", "Counts", "Name", "Said", "StateError"]

_LARGEST: Final = 1.7976931348623157e308


class Bank:
    """All sensors of one partition, `config.max_sensors` of them at most.

    Deterministic: the same records give the same anomalies, however they are cut into polls.

    Attributes:
        counts: see Counts.
    """

    def __init__(self, config: DetectConfig) -> None:
        self._config = config
        self._rows = Rows(config)
        self._writer = Writer(self._rows)
        self._teller = Teller(self._rows, self._writer)
        self._judged: list[Poll] = []
        self._arrived = 0
        self.counts = Counts()

    @property
    def sensors(self) -> int:
        """Sensors remembered now."""
        return len(self._rows)

    @property
    def open(self) -> int:
        """Anomalies open now."""
        return sum(self._teller.open.values())

    @property
    def open_by_grade(self) -> dict[type_of_grade, int]:
        """The same, by grade."""
        return dict(self._teller.open)

    def judge(self, arrivals: Sequence[Arrival]) -> list[Said]:
        """Judge records in the order in which the partition has them; what there is to say, in that order.

        A record whose offset is not beyond the one that its sensor's row reflects is in a restored row already, and is
        skipped.
        """
        self._judged, self._arrived = [], len(arrivals)
        said = self._count(self._teller.orphans())
        index, pending = self._rows.index, _Pending()
        rows, places, sensors = pending.rows, pending.places, self._rows.sensors
        for place, (_, key, reading) in enumerate(arrivals):
            value = reading.value
            if isinstance(value, (bool, str)) or not -_LARGEST <= value <= _LARGEST:
                self.counts.not_numeric += 1
                continue
            if reading.flags and "retained" in reading.flags:
                self.counts.retained += 1
                continue
            if reading.flags and RECOVERED in reading.flags:
                self.counts.recovered += 1
                continue
            row = index.get((key, reading.device, reading.sensor))
            if row is None:
                if not (is_name(reading.device) and is_name(reading.sensor)):
                    self.counts.unnamed += 1
                    continue
                while len(index) >= self._config.max_sensors:
                    said += self._forget_oldest(arrivals, pending, place)
                sensor = Sensor(key, reading.gateway, reading.device, reading.sensor, reading.unit)
                row, _ = self._rows.make(sensor)
                pending.new.append(len(rows))
            elif (unit := reading.unit) and (known := sensors[row]) is not None and unit != known.unit:
                said += self._change_unit(arrivals, pending, row, place)
            rows.append(row)
            places.append(place)
        said += self._judge(arrivals, pending)
        self._rows.tidy()
        return said

    def scores(self) -> Floats:
        """Of the last records judged, in their order: from 0, all is well, to 1; from 0.5 on an alert begins or gets worse.

        The largest score of any rule, relative to what would make it speak; NaN for what is not judged.
        """
        scores = np.full(self._arrived, np.nan)
        for poll in self._judged:
            with np.errstate(invalid="ignore"):
                share = poll.ratio / (1 + poll.ratio)
            scores[poll.place] = np.where(np.isinf(poll.ratio), 1.0, share)
        return scores

    def expected(self, sensors: Sequence[Name]) -> tuple[Floats, Floats]:
        """The lowest and the highest value of each sensor that is no spike, as things are; NaN where that is not known."""
        spike, index = self._rows.by_slot[Spike.slot], self._rows.index
        assert isinstance(spike, Spike)  # noqa: S101 - its slot is its own
        known = np.array([index.get(one, -1) for one in sensors], np.int64)
        low, high = np.full(len(known), np.nan), np.full(len(known), np.nan)
        low[known >= 0], high[known >= 0] = spike.expected(known[known >= 0])
        return low, high

    def advance(self, gateway: str, until: int, *, told: bool = False) -> list[Said]:
        """Who is silent, of a gateway that lives, and of which all is judged that came until `until` by its own clock.

        `told`: the gateway says so itself.
        """
        rows = self._rows.heard.rows(gateway)
        if not len(rows):
            return []
        self._rows.heard.alive(gateway, until, told=told)
        silence = self._rows.silence
        found: list[tuple[Rule, Finding]] = []
        received = self._received(rows, gateway, until)
        silence.advance(rows, received, until, self._rows.last, _hearing(silence, found))
        found.sort(key=lambda one: one[1].at)
        said = [one for _, one in self._teller.tell((), found)]
        over = self._teller.time_passed(gateway, until)
        if said or over:
            self._writer.changed_gateway(gateway)
        return self._count(said + over)

    def silent(self, gateway: str) -> list[Said]:
        """All is judged that came of this gateway, and nothing more is heard of it: that its storm is over."""
        if said := self._teller.silent(gateway):
            self._writer.changed_gateway(gateway)
        return self._count(said)

    def command(self, command: Command) -> list[Said]:
        """What a person says of an anomaly, by its id. An id that this bank does not know, or the same word again: nothing."""
        return self._count(self._teller.command(command))

    def changed(self) -> list[tuple[bytes, bytes]]:
        """Key and value of the rows that were changed by other things than readings since the last call.

        They must be written together with what was said, so that a crash cannot repeat it. An empty value: the sensor was
        forgotten, and its record is to be deleted.
        """
        return self._writer.changed()

    def snapshot(self, most: int) -> list[tuple[bytes, bytes]]:
        """Key and value of up to `most` more rows that have changed since they were last written; none: all are written."""
        return self._writer.snapshot(most)

    def restore(self, key: bytes, value: bytes) -> None:
        """Take over a row from the state topic.

        Raises:
            StateError: it is damaged, or of a version that cannot be taken over.
        """
        self._teller.restored(self._writer.restore(key, value))

    def _received(self, rows: Ints, gateway: str, until: int) -> Ints:
        """When the last reading of each came; since when the gateway is known to live, if its clock was set since then."""
        received: Ints = self._rows.core["received"][rows]
        with np.errstate(over="ignore"):
            ago = until - received
        doubted = (received != LONG_AGO) & (self._rows.core["unset"][rows] | (ago > YEAR * SECOND))
        return np.where(doubted, np.maximum(received, self._rows.heard.since(gateway)), received)

    def _judge(self, arrivals: Sequence[Arrival], pending: "_Pending") -> list[Said]:
        if not pending.rows:
            return [one for _, one in pending.forgot]
        readings = [arrivals[place] for place in pending.places]
        row = np.array(pending.rows)
        number = self._rows.spools.number
        records = Records(
            np.array(pending.places),
            row,
            np.array([one.offset for one in readings]),
            np.array([one.reading.time for one in readings]),
            np.array([one.reading.received for one in readings]),
            np.array([one.reading.seq for one in readings]),
            np.array([number(one.reading.spool) for one in readings]),
            np.array([one.reading.value for one in readings], np.float64),
            np.array([CLOCK_UNSET in one.reading.flags for one in readings]),
        )
        new = np.zeros(len(row), np.int64)
        rows, reflected = self._rows, self._writer.reflected
        for place in pending.new:  # its gateway may have been written when its row was not
            offset, _, reading = readings[place]
            new[place] = offset > reflected.get(reading.gateway, -1)
        rows.heard.hear(row, records.received, new, records.place)
        rows.arrived[row] = np.maximum(rows.arrived[row], records.offset)  # what is read again is no news
        self._writer.judged(row, int(records.offset.max()))
        # Absurd values overflow, and a value that is not known yet is NaN: both compare as they should.
        with np.errstate(over="ignore", invalid="ignore"):
            poll, dropped = arrange(arrivals, records, rows.core, rows.spools)
            found: list[tuple[Rule, Finding]] = []
            for rule in rows.rules:
                rule.judge(poll, _hearing(rule, found))
        self.counts.replayed += dropped.replayed
        self.counts.repeated += dropped.repeated
        self.counts.late += dropped.late
        self.counts.judged += len(poll.row)
        remember(poll)
        self._judged.append(poll)
        # Stable: the rules speak of a reading in their own order.
        found.sort(key=lambda one: one[1].place)
        told = sorted(pending.forgot + self._teller.tell(arrivals, found), key=lambda one: one[0])
        return self._count([one for _, one in told])

    def _change_unit(
        self, arrivals: Sequence[Arrival], pending: "_Pending", row: int, place: int
    ) -> list[Said]:
        """Judge what came before the reading in this place, which has another unit: from it on the sensor is learnt anew."""
        said = self._judge(arrivals, pending)
        pending.clear()
        sensor, core, (offset, _, reading) = self._rows.sensor(row), self._rows.core, arrivals[place]
        if offset <= core["offset"][row] or reading.time <= core["time"][row]:  # it is not judged
            return said
        if sensor.unit:
            why = f"the unit is {reading.unit} now and was {sensor.unit}; the sensor is learnt anew"
            said += self._count(self._teller.forget(row, why, offset, but=Silence.slot))
            self._rows.begin_anew(row)
            self.counts.unit_changed += 1
        sensor.unit = reading.unit
        return said

    def _forget_oldest(self, arrivals: Sequence[Arrival], pending: "_Pending", place: int) -> list[Said]:
        """Make room for a sensor that comes with the record in this place."""
        rows = self._rows
        new = pending.rows[pending.noted :]
        offsets = [arrivals[each].offset for each in pending.places[pending.noted :]]
        rows.arrived[new] = np.maximum(rows.arrived[new], np.array(offsets, np.int64))
        pending.noted = len(pending.rows)
        pending.known.update(new)
        oldest = rows.oldest()
        said: list[Said] = []
        if oldest in pending.known:
            said = self._judge(arrivals, pending)
            pending.clear()
        why = f"more than {self._config.max_sensors} sensors report, and this one has been silent for longest"
        pending.forgot += [(place, one) for one in self._teller.forget(oldest, why, arrivals[place].offset)]
        self._writer.forgotten(oldest)
        gateway = rows.drop(oldest).gateway
        if not rows.heard.knows(gateway):
            self._teller.forget_gateway(gateway)
            self._writer.forgotten_gateway(gateway)
        self.counts.forgotten += 1
        return said

    def _count(self, said: list[Said]) -> list[Said]:
        for one in said:
            match one.anomaly.event:
                case "raised":
                    self.counts.raised += 1
                case "updated":
                    self.counts.updated += 1
                case "cleared":
                    self.counts.cleared += 1
        return said


class _Pending:
    """Readings of a poll that are to be judged, and what was said of sensors that were forgotten meanwhile."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.places: list[int] = []
        self.new: list[int] = []
        self.noted = 0
        self.known: set[int] = set()
        self.forgot: list[tuple[int, Said]] = []

    def clear(self) -> None:
        """They are judged."""
        self.rows.clear()
        self.places.clear()
        self.new.clear()
        self.forgot.clear()
        self.noted = 0
        self.known.clear()


def _hearing(rule: Rule, found: list[tuple[Rule, Finding]]) -> Say:
    return lambda finding: found.append((rule, finding))
