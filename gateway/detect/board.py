"""Which anomalies are open, by sensor, as the anomalies topic tells: what there is to publish, and from where to read again."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.anomalies import SEEN
from gateway.detect.retained import Names, Open, names
from gateway.wire import Anomaly

MOST_OPEN: Final = 20_000
"""Anomalies of one partition that are remembered as open; beyond, the oldest are forgotten."""

MOST_WAITING: Final = 5_000
"""Sensors that may wait until a partition is read to its end; so many are published before that."""


class Change(NamedTuple):
    """A sensor of which something was said.

    Attributes:
        whose: its names.
        found: its anomalies that are open.
        last: what was said of it last.
    """

    whose: Names
    found: list[Open]
    last: Anomaly


class _Part:
    def __init__(self) -> None:
        self.next = 0
        self.caught_up = False
        self.open: dict[tuple[Names, str], None] = {}  # in the order in which they were raised
        self.sensors: dict[Names, dict[str, Open]] = {}
        self.touched: dict[Names, Anomaly] = {}


class Board:
    """Of the partitions that this process reads. All it knows can be read again from low() on.

    Attributes:
        forgotten: anomalies that were open, and too many.
    """

    def __init__(self) -> None:
        self.forgotten = 0
        self._parts: dict[int, _Part] = {}

    def begin(self, partition: int) -> None:
        """It is read from now on, from where low() said, or from its beginning."""
        self._parts[partition] = _Part()

    def give_up(self, partition: int) -> None:
        """Somebody else reads it."""
        self._parts.pop(partition, None)

    def take(self, partition: int, offset: int, anomaly: Anomaly) -> None:
        """The next record. Nothing happens if somebody else reads the partition by now."""
        part, whose = self._parts.get(partition), names(anomaly)
        if part is None:
            return
        part.next = offset + 1
        part.touched.pop(whose, None)
        part.touched[whose] = anomaly
        mine = part.sensors.setdefault(whose, {})
        known = mine.get(anomaly.id)
        match anomaly.event:
            case "raised" | "updated" if known is not None:
                known.anomaly = anomaly
            case "raised" | "updated":
                mine[anomaly.id] = Open(offset, anomaly)
                part.open[whose, anomaly.id] = None
                if len(part.open) > MOST_OPEN:
                    self._forget(part, *next(iter(part.open)))
            case "cleared":
                mine.pop(anomaly.id, None)
                part.open.pop((whose, anomaly.id), None)
            case event if known is not None and event in SEEN:
                known.acknowledged = True

    def skip(self, partition: int, offset: int) -> None:
        """The next record is none that can be read."""
        if partition in self._parts:
            self._parts[partition].next = offset + 1

    def end(self, partition: int) -> None:
        """All that was in the partition is taken."""
        if partition in self._parts:
            self._parts[partition].caught_up = True

    def due(self) -> list[Change]:
        """What is to be published: of partitions that were read to their end once, so that no state of the past shows."""
        return [
            Change(whose, list(part.sensors[whose].values()), last)
            for part in self._parts.values()
            if part.caught_up or len(part.touched) > MOST_WAITING
            for whose, last in part.touched.items()
        ]

    def published(self, changes: Iterable[Change]) -> None:
        """All that due() gave is at the broker."""
        done = {(change.whose, id(change.last)) for change in changes}
        for part in self._parts.values():
            for whose, last in list(part.touched.items()):
                if (whose, id(last)) in done:
                    del part.touched[whose]
                    if not part.sensors[whose]:
                        del part.sensors[whose]

    def low(self) -> dict[int, int]:
        """By partition, from where to read again to know all that is open now; without those of which something is due."""
        return {
            number: min([part.next, *(part.sensors[whose][id_].offset for whose, id_ in part.open)])
            for number, part in self._parts.items()
            if part.next and not part.touched
        }

    def _forget(self, part: _Part, whose: Names, id_: str) -> None:
        self.forgotten += 1
        del part.open[whose, id_], part.sensors[whose][id_]
