"""Turns what rules find into records, and remembers which anomalies are open."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, get_args

import msgspec

from gateway.detect.events import (
    Finding,
    Origin,
    Said,
    Sensor,
    Slot,
    anomaly_id,
    by_whom,
    record,
    type_of_grade,
)
from gateway.detect.rows import Rows
from gateway.detect.rules.rule import Rule
from gateway.detect.storms import Storms
from gateway.detect.text import duration
from gateway.detect.writing import Writer
from gateway.wire import Arrival, Command

MOST_HEARD: Final = 100
"""Commands of one anomaly that are known again."""


class Teller:
    """Gives anomalies their ids, groups them into storms, and finds them again by id.

    Attributes:
        open: anomalies open now, by grade.
    """

    def __init__(self, rows: Rows, writer: Writer) -> None:
        self._rows = rows
        self._writer = writer
        self._ids: dict[str, tuple[int, str]] = {}
        self._orphans: list[tuple[int, str]] = []
        self.storms: Storms = writer.storms
        self.open: dict[type_of_grade, int] = dict.fromkeys(get_args(type_of_grade), 0)

    def tell(
        self, arrivals: Sequence[Arrival], found: Iterable[tuple[Rule, Finding]]
    ) -> list[tuple[int, Said]]:
        """What to write of findings, in their order, each with the place of the reading behind it."""
        told: list[tuple[int, Said]] = []
        for rule, finding in found:
            sensor = self._rows.sensor(finding.row)
            arrival = arrivals[finding.place] if finding.place >= 0 else None
            at = arrival.reading.received if arrival is not None else finding.at
            offset = arrival.offset if arrival is not None else -1
            told += [(finding.place, one) for one in self.time_passed(sensor.gateway, at, offset)]
            if finding.event == "raised":
                slot = self._raise(rule, finding, sensor, arrival)
            else:
                slot = sensor.slots[rule.slot]
            if finding.event == "cleared":
                self._clear(slot)
            last = finding.first if finding.at and finding.first else self._rows.last(finding.row)
            anomaly = record(sensor, rule.name, slot, finding, arrival, last)
            if finding.event == "raised" and self._counts_for_storms(sensor.gateway, offset):
                storm, word = self.storms.raised(sensor, at, Origin(slot.spool, slot.seq, slot.since))
                if word is not None:
                    told.append((finding.place, Said(offset, *word)))
                if storm:
                    anomaly = msgspec.structs.replace(anomaly, storm=storm)
            if arrival is None:
                self._writer.changed_row(finding.row)
            told.append((finding.place, Said(offset, sensor.key, anomaly)))
        return told

    def time_passed(self, gateway: str, at: int, offset: int = -1) -> list[Said]:
        """What to say now that it is `at` for this gateway: that its storm is over."""
        if not self._counts_for_storms(gateway, offset):
            return []
        over = self.storms.passed(gateway, at, read=offset >= 0)
        return [] if over is None else [Said(offset, *over)]

    def silent(self, gateway: str) -> list[Said]:
        """See Bank."""
        over = self.storms.silent(gateway)
        return [] if over is None else [Said(-1, *over)]

    def command(self, command: Command) -> list[Said]:
        """See Bank."""
        row, place = self._ids.get(command.id, (-1, ""))
        sensor = self._rows.sensors[row] if row >= 0 else None
        slot = sensor.slots.get(place) if sensor is not None else None
        if sensor is None or slot is None or slot.id != command.id:
            return []
        again = command.verb in slot.said
        if command.time in slot.heard or (again and command.verb == "ack"):
            return []
        slot.heard = [*slot.heard, command.time][-MOST_HEARD:]
        self._writer.changed_row(row)
        if again:  # it counts again once another word came between
            return []
        rule = self._rows.by_slot[place]
        # The last word counts: after `fault` one may still `accept`, and the other way round.
        slot.said = [verb for verb in slot.said if verb == "ack" or command.verb == "ack"] + [command.verb]
        by = by_whom(command)
        match command.verb:
            case "ack":
                finding = Finding(
                    -1, row, "acknowledged", slot.grade, f"acknowledged by {by}", at=command.time
                )
            case "fault":
                text = f"called a real fault by {by}: {rule.fault(row)}"
                finding = Finding(-1, row, "fault", slot.grade, text, at=command.time)
            case "accept":
                text = f"accepted as normal by {by}: {rule.accept(row)}"
                event: Literal["cleared", "accepted"] = "cleared" if slot.open and rule.learns else "accepted"
                finding = Finding(-1, row, event, slot.grade, text, at=command.time)
        if finding.event == "cleared":
            self._clear(slot)
        # By the clock of whoever said it: no storm is over for that.
        said = record(sensor, rule.name, slot, finding, None, self._rows.last(row))
        return [Said(-1, sensor.key, msgspec.structs.replace(said, by=by))]

    def forget(self, row: int, why: str, offset: int, but: str = "") -> list[Said]:
        """What to say of a sensor that is no longer watched, or learnt anew `but` for what one rule knows."""
        said: list[Said] = []
        sensor = self._rows.sensor(row)
        for place in [one for one in sensor.slots if one != but]:
            if sensor.slots[place].open:
                said.append(self._unwatched(row, place, why, offset))
            del self._ids[sensor.slots.pop(place).id]
        return said

    def forget_gateway(self, gateway: str) -> None:
        """None of its sensors is remembered."""
        self.storms.forget(gateway)

    def restored(self, restored: tuple[int, set[str]] | None) -> None:
        """A row was restored, and these are the slots of the rules that judge it."""
        if restored is None:
            return
        row, judging = restored
        for place, slot in self._rows.sensor(row).slots.items():
            self._ids[slot.id] = row, place
            self.open[slot.grade] += slot.open
            if slot.open and place not in judging:
                self._orphans.append((row, place))

    def orphans(self) -> list[Said]:
        """What to say of anomalies that were restored, and that no rule judges any more."""
        orphans, self._orphans = self._orphans, []
        said: list[Said] = []
        for row, place in orphans:
            self._rows.by_slot[place].close(row)
            said.append(
                self._unwatched(row, place, "this rule no longer judges the sensor, by detect.toml", -1)
            )
            self._writer.changed_row(row)
        return said

    def _unwatched(self, row: int, place: str, why: str, offset: int) -> Said:
        sensor, last = self._rows.sensor(row), self._rows.last(row)
        slot = sensor.slots[place]
        text = f"no longer watched, {duration(last.time - slot.since)} after it was raised: {why}"
        finding = Finding(-1, row, "cleared", slot.grade, text, at=last.time)
        self._clear(slot)
        rule = self._rows.by_slot[place].name
        return Said(offset, sensor.key, record(sensor, rule, slot, finding, None, last))

    def _raise(self, rule: Rule, finding: Finding, sensor: Sensor, arrival: Arrival | None) -> Slot:
        first = finding.first
        if first is None:
            assert arrival is not None, finding  # noqa: S101 - one of both is there
            first = Origin(arrival.reading.spool, arrival.reading.seq, arrival.reading.time)
        before, named = sensor.slots.get(rule.slot), rule.name
        if before is not None:
            self._ids.pop(before.id, None)
            if (before.spool, before.seq) == (first.spool, first.seq):  # it was accepted, and went on
                named = before.id
        id_ = anomaly_id(named, sensor.gateway, sensor.device, sensor.sensor, first)
        slot = sensor.slots[rule.slot] = Slot(id_, finding.grade, first.spool, first.seq, first.time)
        self._ids[id_] = finding.row, rule.slot
        self.open[slot.grade] += 1
        return slot

    def _clear(self, slot: Slot) -> None:
        slot.open = False
        self.open[slot.grade] -= 1

    def _counts_for_storms(self, gateway: str, offset: int) -> bool:
        """Not what the restored state of the gateway reflects already."""
        return offset < 0 or offset > self._writer.reflected.get(gateway, -1)
