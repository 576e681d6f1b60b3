"""One partition of the readings: what is known of its sensors, how far they are judged, and what is to be written."""

import time
from collections.abc import Iterable
from typing import Literal

import msgspec
import structlog

from gateway.config import DetectKafka
from gateway.detect.events import Said
from gateway.detect.gateways import Gateways, is_quiet
from gateway.detect.heard import SET_BACK
from gateway.detect.judge import Judge
from gateway.detect.restored import MARKER, VERSION, Mark, restore
from gateway.kafka.client import Record
from gateway.kafka.consumer import Polled
from gateway.kafka.outlet import MOST_ROWS, Part
from gateway.kafka.state import Found
from gateway.kafka.statuses import Sight
from gateway.wire import CLOCK_UNSET, Command, encode_anomaly

_log = structlog.get_logger()


class Share:
    """Used from one thread at a time.

    Attributes:
        partition: of the readings, and of the state.
        bank: of its sensors.
        gateways: the silences of gateways that it speaks of.
        next: offset behind what was judged.
        heard: how many commands it has got.
        unusable: rows that could not be restored.
    """

    def __init__(
        self,
        kafka: DetectKafka,
        partition: int,
        bank: Judge,
        found: Found,
        start: Literal["earliest", "latest"],
    ) -> None:
        """Restored from what was `found`; `start` is where to begin if nothing was."""
        self.partition = partition
        self.bank = bank
        self.gateways = Gateways()
        self.heard = 0
        self._kafka = kafka
        self._said: list[Said] = []
        self._rows: list[Record] = []
        self._latest: dict[str, int] = {}
        self._end = 0
        self._began = time.monotonic()
        self._seen: Sight | None = None
        self._advanced: Sight | None = None
        self._quiet: set[str] = set()
        restored = restore(found, partition, bank, self.gateways)
        mark, committed, self.unusable = restored.mark, restored.committed, restored.unusable
        self._take((key, b"") for key in restored.gone)
        first = found.low if start == "earliest" else found.high
        begin = next(one for one in (mark, committed, first) if one is not None)
        self.next = max(begin, found.low)
        self._spoken = max(self.next, committed or 0)
        self._told = committed
        self._marked = mark
        if self.next > begin:
            _log.warning(
                "readings are gone that were to be read",
                partition=partition,
                from_offset=begin,
                to_offset=self.next,
                not_judged=max(0, self.next - max(begin, committed or 0)),
                remedy="keep readings for longer than gateway-detect may be away (retention.ms, retention.bytes)",
            )
        if mark != self.next:
            self._mark()
        _log.info(
            "partition restored",
            partition=partition,
            sensors=bank.sensors,
            unusable=self.unusable,
            begins=self.next,
            replays=self._spoken - self.next,
        )

    @property
    def live(self) -> bool:
        """Whether all that was said before has been passed: what it says now is new."""
        return self.next >= self._spoken

    @property
    def unmarked(self) -> bool:
        """Whether it has moved since the last snapshot."""
        return self._marked != self.next

    @property
    def read_to(self) -> int:
        """Offset behind what was judged, and behind the marks of transactions that follow it at the end of the partition."""
        return max(self.next, self._end)

    @property
    def pressing(self) -> bool:
        """Whether there is something to write, more than the position."""
        return self.live and bool(self._said or self._rows)

    def judge(self, polled: Polled) -> None:
        """Judge what came. What was said already, by whoever had the partition, is not said again."""
        arrivals = polled.arrivals
        if arrivals and arrivals[0].offset < self.next:  # fetched before it was told where to begin
            arrivals = [one for one in arrivals if one.offset >= self.next]
        if not self.live:
            again = [one for one in arrivals if one.offset < self._spoken]
            # What has no reading behind it was not said before: it is written together with the rows that it changes.
            self._said += [one for one in self.bank.judge(again) if one.offset < 0]
            arrivals = arrivals[len(again) :]
        self.next = max(self.next, polled.next_offset)
        self._end = max(self._end, polled.end)
        if not self.live:
            return
        self._said += self.bank.judge(arrivals)
        latest: dict[str, int] = {}
        for one in arrivals:
            reading = one.reading
            if reading.received > latest.get(reading.gateway, 0) and CLOCK_UNSET not in reading.flags:
                latest[reading.gateway] = reading.received
        for gateway, until in latest.items():
            self._advance(gateway, until)
        self._take(self.bank.changed())

    def look(self, sight: Sight) -> None:
        """What the status of the gateways shows: which of them are silent, and which sensors of those that are not.

        Only what was seen since it has the partition counts: whoever had it before may have seen, and said, more.
        """
        if not self.live or sight.at < self._began:
            return
        if sight is not self._seen:
            self._seen = sight
            self._said += self.gateways.look(sight, self.partition)
            self._take(self.gateways.changed())
        end = sight.ends.get(self.partition)
        if end is not None and sight is not self._advanced and self.read_to >= end:
            self._advanced = sight
            for gateway, status in sight.before.items():
                if not status.unset:
                    self._advance(gateway, status.until, told=True)
            quiet = {gateway for gateway, seen in sight.seen.items() if is_quiet(seen, sight)}
            for gateway in sorted(quiet - self._quiet):
                self._said += self.bank.silent(gateway)
            self._quiet = quiet
            self._take(self.bank.changed())

    def _advance(self, gateway: str, until: int, *, told: bool = False) -> None:
        """All that this gateway received up to then has been judged."""
        latest = self._latest.get(gateway, 0)
        if until > latest or (not told and latest - until > SET_BACK):
            self._latest[gateway] = until
            self._said += self.bank.advance(gateway, until, told=told)

    def command(self, commands: Iterable[Command]) -> None:
        """Tell the bank what people said; only once it is live, for what they spoke of must have been judged."""
        for command in commands:
            self._said += self.bank.command(command)
            self._said += self.gateways.command(command)
        self._take(self.bank.changed())
        self._take(self.gateways.changed())

    def part(self) -> Part | None:
        """What is to be written, if anything."""
        if not self.live or not (self._said or self._rows or self._told != self.next):
            return None
        topic = self._kafka.anomalies_topic
        said = [Record(topic, one.key, encode_anomaly(one.anomaly)) for one in self._said]
        return Part(self.partition, self.next, said, tuple(self._rows))

    def settled(self) -> list[Said]:
        """What part() gave is in Kafka. Returns what was said in it."""
        said, self._said, self._rows, self._told = self._said, [], [], self.next
        return said

    def snapshot(self) -> bool:
        """Add the next piece of the rows to what is to be written, or, behind the last one, the marker; whether it was that.

        Nothing may be judged until all are written: the marker says that they reflect everything before it.
        """
        rows = self.bank.snapshot(MOST_ROWS)
        self._take(rows)
        if not rows:
            self._mark()
        return not rows

    def _mark(self) -> None:
        self._marked = self.next
        self._take([(MARKER, msgspec.json.encode(Mark(VERSION, self.next)))])

    def _take(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self._rows += [Record(self._kafka.state_topic, key, value, self.partition) for key, value in rows]
