"""Counts what the topics hold of every gateway: what is missing, repeated or out of order. Touches no network."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeVar

import msgspec

from gateway.numbers import Numbers
from gateway.position import Position
from gateway.recovered import Recovered
from gateway.wire import (
    RECOVERED,
    Identity,
    Replayed,
    WireError,
    decode_identity,
    decode_letter_or_mark,
)

T = TypeVar("T")

EPOCH_BITS: Final = 40
COUNTER: Final = (1 << EPOCH_BITS) - 1

EXAMPLES: Final = 20
"""So many of each kind are named; all are counted."""

REFUSED: Final = "refused by Kafka"
"""How the reason of a dead letter begins that stands in the place of a reading."""


class Start(NamedTuple):
    """One start of a gatewayd: numbers are without gaps within it."""

    gateway: str
    spool: str
    epoch: int


class Gap(msgspec.Struct, frozen=True):
    """Numbers `first` to `last` of a start that are not there; a sequence is `epoch << 40 | number`."""

    spool: str
    epoch: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class Place(msgspec.Struct, frozen=True):
    """A record that is not as it should be: where it lies, and which reading it is."""

    partition: int
    offset: int
    device: str
    spool: str
    seq: int


class Damage(msgspec.Struct, frozen=True):
    """A record that is none of ours, and why."""

    topic: str
    partition: int
    offset: int
    problem: str


class Findings(msgspec.Struct):
    """What there is of one gateway.

    Attributes:
        readings: different ones; devices: how many they are of; starts: of gatewayd that they are of.
        missing: numbers that nothing stands for; gaps: the first of them.
        expired: numbers that are not there and may have been removed by the topic's retention.
        repeated, out_of_order: readings; and where the first of them are. Order is that of a device in a partition.
        redelivered: readings that an MQTT broker had sent before, which is before they were numbered.
        dead_letters: payloads that could not be decoded; refused: readings that Kafka refused.
        replayed: those of them that were replayed; recovered: readings made of them.
        ledger: whether the gateway's position is in Kafka; dropped: what it says was given up, by reason.
    """

    readings: int = 0
    devices: int = 0
    starts: int = 0
    missing: int = 0
    gaps: list[Gap] = []
    expired: int = 0
    repeated: int = 0
    repeated_at: list[Place] = []
    out_of_order: int = 0
    out_of_order_at: list[Place] = []
    redelivered: int = 0
    dead_letters: int = 0
    refused: int = 0
    replayed: int = 0
    recovered: int = 0
    ledger: bool = False
    dropped: dict[str, int] = {}

    @property
    def unexplained(self) -> int:
        """How many are missing beyond those that the ledger says were given up."""
        return max(0, self.missing - sum(self.dropped.values()))

    @property
    def flawless(self) -> bool:
        """Nothing missing, repeated or out of order."""
        return not (self.missing or self.repeated or self.out_of_order)


class _Count:
    """What was seen of one start: numbers of any kind, and those of letters.

    Attributes:
        sure: the first that was sent after all that retention may have removed.
    """

    __slots__ = ("letters", "present", "sure")

    def __init__(self) -> None:
        self.present, self.letters = Numbers(), Numbers()
        self.sure = COUNTER + 1


class Audit:
    """Takes the records of the topics, in order within each partition and in any order between partitions.

    Attributes:
        records: how many it was given.
        damaged: how many of them were none of ours; damage: the first of them.
    """

    def __init__(self, only: str = "", expired: int = 0) -> None:
        """`only`: the gateway that counts; empty: all. `expired`: see Readback."""
        self.records = self.damaged = 0
        self.damage: list[Damage] = []
        self._only = only
        self._expired = expired
        self._recovered = Recovered(expired)
        self._counts: dict[tuple[str, str, int], _Count] = {}
        self._latest: dict[tuple[int, str, str, str], int] = {}
        self._found: dict[str, Findings] = {}
        self._due: dict[Start, int] = {}
        self._lowest: dict[tuple[str, int], int] = {}

    @property
    def gateways(self) -> list[str]:
        """Those that were seen, and the one that counts."""
        return sorted({*self._found, *([self._only] if self._only else [])})

    def reading(self, topic: str, partition: int, offset: int, sent: int, value: bytes | None) -> None:
        """A record of the readings topic, sent at `sent` milliseconds since 1970 UTC."""
        self.records += 1
        try:
            one = decode_identity(value or b"")
        except WireError as error:
            self._note_damage(topic, partition, offset, error)
            return
        gateway, spool, seq, device = one.gateway, one.spool, one.seq, one.device
        if self._only and gateway != self._only:
            return
        found = self._found.get(gateway) or self._found.setdefault(gateway, Findings())
        if one.flags and RECOVERED in one.flags:
            self._take_recovered(found, one, partition, offset)
            return
        line = partition, gateway, spool, device
        if not self._add(gateway, spool, seq, sent):
            found.repeated += 1
            _note(found.repeated_at, Place(partition, offset, device, spool, seq))
            return
        found.readings += 1
        if "redelivered" in one.flags:
            found.redelivered += 1
        if seq < self._latest.get(line, -1):
            found.out_of_order += 1
            _note(found.out_of_order_at, Place(partition, offset, device, spool, seq))
        else:
            self._latest[line] = seq

    def letter(self, topic: str, partition: int, offset: int, sent: int, value: bytes | None) -> None:
        """A record of the dead-letters topic."""
        self.records += 1
        try:
            one = decode_letter_or_mark(value or b"")
        except WireError as error:
            self._note_damage(topic, partition, offset, error)
            return
        if isinstance(one, Replayed):
            if not self._only or one.gateway == self._only:
                found = self._found.setdefault(one.gateway, Findings())
                found.replayed += self._recovered.mark(one, sent)
            return
        if not one.spool or (self._only and one.gateway != self._only):
            return
        self._add(one.gateway, one.spool, one.seq, sent)
        if self._counts[Start(one.gateway, one.spool, one.seq >> EPOCH_BITS)].letters.add(one.seq & COUNTER):
            found = self._found.setdefault(one.gateway, Findings())
            found.refused += one.reason.startswith(REFUSED)
            found.dead_letters += not one.reason.startswith(REFUSED)

    def expect(self, positions: Mapping[str, Position]) -> None:
        """Nothing less than what was seen by now, and than what the gateways' positions say, is to be complete.

        What is on its way while the partitions are read one after the other is thus not taken for missing.
        """
        self._recovered.expect()
        self._due = {Start(*start): count.present.last for start, count in self._counts.items()}
        for (gateway, _, epoch), count in self._counts.items():
            first = count.present.first
            self._lowest[gateway, epoch] = min(first, self._lowest.get((gateway, epoch), first))
        for gateway, position in positions.items():
            start = Start(gateway, position.spool, position.last >> EPOCH_BITS)
            self._due[start] = max(self._due.get(start, 0), position.last & COUNTER)
            found = self._found.setdefault(gateway, Findings())
            found.ledger = True
            found.dropped = _given_up(position)

    def complete(self) -> bool:
        """Whether all that was expected is there."""
        lacking = any(True for _ in self._recovered.lacking())
        return not lacking and not any(True for start in self._due for _ in self._gaps(start))

    def findings(self) -> dict[str, Findings]:
        """By gateway, what is wrong of what was expected. The audit can go on afterwards."""
        devices = Counter(
            gateway for gateway, _ in {(gateway, device) for _, gateway, _, device in self._latest}
        )
        starts = Counter(gateway for gateway, _, _ in self._counts)
        for gateway, found in self._found.items():
            found.devices, found.starts = devices[gateway], starts[gateway]
            found.missing, found.gaps, found.expired = 0, [], 0
        for start in sorted(self._due):
            found, count = self._found.setdefault(start.gateway, Findings()), self._counts.get(start)
            for gap in self._gaps(start):
                found.missing += gap.size
                _note(found.gaps, gap)
            if self._expired and count is not None:
                end = min(self._begin(start) - 1, self._due[start])
                found.expired += sum(last - first + 1 for first, last in count.present.gaps(1, end))
        for lack in self._recovered.lacking():
            found = self._found.setdefault(lack.gateway, Findings())
            gap = Gap(lack.spool, 0, lack.first, lack.last)
            found.missing += gap.size
            _note(found.gaps, gap)
        return self._found

    def _take_recovered(self, found: Findings, one: Identity, partition: int, offset: int) -> None:
        """They come when they come: of the past, and so in no order with the others."""
        if self._recovered.reading(one):
            found.recovered += 1
        else:
            found.repeated += 1
            _note(found.repeated_at, Place(partition, offset, one.device, one.spool, one.seq))

    def _add(self, gateway: str, spool: str, seq: int, sent: int) -> bool:
        """Whether nothing had this number."""
        count = self._counts.get((gateway, spool, seq >> EPOCH_BITS))  # quicker than to make a Start
        if count is None:
            count = self._counts[Start(gateway, spool, seq >> EPOCH_BITS)] = _Count()
        number = seq & COUNTER
        if self._expired and sent > self._expired:
            count.sure = min(count.sure, number)
        return count.present.add(number)

    def _gaps(self, start: Start) -> Iterator[Gap]:
        count = self._counts.get(start) or _Count()
        for first, last in count.present.gaps(self._begin(start), self._due[start]):
            yield Gap(start.spool, start.epoch, first, last)

    def _begin(self, start: Start) -> int:
        """The first number that must be there.

        It is 1, unless retention may have removed it, or it was sent under the id that the spool had before (a spool
        that begins anew goes on with its numbers).
        """
        count = self._counts.get(start)
        if self._expired:
            return count.sure if count else COUNTER + 1
        first = count.present.first if count else COUNTER + 1
        return first if self._lowest.get((start.gateway, start.epoch), first) < first else 1

    def _note_damage(self, topic: str, partition: int, offset: int, error: WireError) -> None:
        self.damaged += 1
        _note(self.damage, Damage(topic, partition, offset, str(error)))


def _given_up(position: Position) -> dict[str, int]:
    dropped: Counter[str] = Counter()
    for one in position.ledger.values():
        dropped.update(one.dropped)
        dropped.update({"dead letters": one.dead_letters_dropped} if one.dead_letters_dropped else {})
    return dict(dropped)


def _note(examples: list[T], one: T) -> None:
    if len(examples) < EXAMPLES:
        examples.append(one)
