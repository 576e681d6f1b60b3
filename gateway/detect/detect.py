"""READINGS -> bank -> anomalies: polls, judges and writes, in turn, and lets partitions come and go in between.

Nothing is open while a poll runs, and partitions come and go within a poll only: so what is judged is either written whole, with
the position behind it, or judged again by whoever has the partition then, from what was written.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import structlog

from gateway.detect.config import DetectConfig
from gateway.detect.events import Said, type_of_event, type_of_grade
from gateway.detect.judge import MakeBank
from gateway.detect.restoring import Restoring
from gateway.detect.share import Share
from gateway.kafka.client import KafkaUnavailableError, Record
from gateway.kafka.commands import Commands
from gateway.kafka.consumer import ReadingsConsumer, Taken
from gateway.kafka.outlet import Outlet, Part, Written
from gateway.kafka.sink import PositionUnknownError
from gateway.kafka.statuses import Statuses

_log = structlog.get_logger()

COMMIT_EVERY: Final = 1.0
"""Seconds between two commits of the position if there is nothing to say."""

LONGEST_PAUSE: Final = 2.0
"""Seconds between two attempts at most; from a tenth of a second, doubled."""


class Detect:
    """Used from one event loop.

    Attributes:
        refused: records that Kafka refused for good.
        writes, failed_writes: writes of anomalies, state and position, each a transaction unless delivery is at-least-once; those
            that failed were tried again.
        events: records of anomalies that were written, by rule and event.
    """

    def __init__(
        self,
        config: DetectConfig,
        make_bank: MakeBank,
        consumer: ReadingsConsumer,
        outlet: Outlet,
        attempt_done: Callable[[], None],
    ) -> None:
        """`attempt_done` hears of every attempt, successful or not, from any thread."""
        self.refused = self.writes = self.failed_writes = 0
        self.events: Counter[tuple[str, type_of_event]] = Counter()
        self._config = config
        self._consumer = consumer
        self._outlet = outlet
        self._attempt_done = attempt_done
        self._commands = Commands(config.kafka, config.group)
        self._statuses = Statuses(config.kafka, config.group)
        self._restoring = Restoring(config, make_bank, outlet.name)
        self._shares: dict[int, Share] = {}
        self._due: dict[int, float] = {}
        self._gone: dict[str, int] = {}
        self._next_commit = 0.0
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self.at_work = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Detect until `stop` is set; then write what was judged and a last snapshot.

        Raises:
            StateTopicError: see there.
        """
        self._stop = stop
        self._commands.start()
        self._statuses.start()
        try:
            if await self._resume(stop) is None:
                return
            self.at_work.set()
            while not stop.is_set():
                await self._turn()
                await self._outlet.idle()
                self._attempt_done()
            for share in list(self._shares.values()):
                await self._snapshot(share)
            await self._settle(self._parts(everything=True))
        finally:
            self._restoring.close()
            self._commands.close()
            self._statuses.close()

    def hurry(self) -> None:
        """A stop takes too long: give up what Kafka does not take at once."""
        self._hurry.set()

    def totals(self) -> dict[str, int]:
        """What became of the readings, over all partitions that this process had, and what it has now."""
        shares = list(self._shares.values())
        counts = dict(self._gone)
        for share in shares:
            _add(counts, share)
        return {
            **counts,
            "unreadable": self._consumer.unreadable,
            "refused": self.refused,
            "partitions": len(shares),
            "sensors": sum(share.bank.sensors for share in shares),
            "open": sum(share.bank.open + share.gateways.open for share in shares),
        }

    def open_by_grade(self) -> dict[type_of_grade, int]:
        """Anomalies open now. The silence of a gateway is an alarm."""
        counts: dict[type_of_grade, int] = {"alarm": 0, "advisory": 0}
        for share in self._shares.values():
            counts["alarm"] += share.gateways.open
            for grade, count in share.bank.open_by_grade.items():
                counts[grade] += count
        return counts

    def lag(self) -> dict[int, int]:
        """By partition that is judged, how many records behind its end that is; -1: not known yet."""
        ends = self._consumer.ends
        return {
            one: max(0, ends[one] - share.read_to) if ends.get(one, -1) >= 0 else -1
            for one, share in self._shares.items()
        }

    @property
    def restoring(self) -> int:
        """Partitions that cannot be judged yet, as what was learnt of them is still being read."""
        return len(self._restoring)

    async def _turn(self) -> None:
        taken = await self._consumer.poll()
        self._note(taken)
        for polled in taken.polled:
            self._shares[polled.partition].judge(polled)
        for share in self._restoring.done():
            self._shares[share.partition] = share
            self._due[share.partition] = time.monotonic() + self._config.snapshot_every
            self._consumer.begin(share.partition, share.next)
        self._statuses.watch(self._shares)
        for share in self._shares.values():
            if share.live:
                commands, share.heard = self._commands.since(share.heard)
                share.command(commands)
                if (sight := self._statuses.sight) is not None:
                    share.look(sight)
        await self._settle(self._parts())
        now = time.monotonic()
        if late := [one for one, due in self._due.items() if due <= now and self._shares[one].live]:
            await self._snapshot(self._shares[min(late, key=self._due.__getitem__)])

    def _note(self, taken: Taken) -> None:
        for partition in taken.lost:
            self._restoring.give_up(partition)
            if (share := self._shares.pop(partition, None)) is not None:
                _add(self._gone, share)
                del self._due[partition]
                _log.info("partition handed over", partition=partition, judged_to=share.next)
        for partition in taken.assigned:
            self._restoring.begin(partition)

    def _parts(self, *, everything: bool = False) -> list[Part]:
        """What is to be written now, and with it every position that has moved."""
        now = time.monotonic()
        shares = self._shares.values()
        if not (everything or now >= self._next_commit or any(share.pressing for share in shares)):
            return []
        self._next_commit = now + COMMIT_EVERY
        return [part for share in shares if (part := share.part()) is not None]

    async def _snapshot(self, share: Share) -> None:
        """All rows that are not in Kafka as they are, in pieces, and then the marker. Nothing is judged meanwhile."""
        partition = share.partition
        self._due[partition] = time.monotonic() + self._config.snapshot_every
        complete = not (share.live and share.unmarked)
        while not complete and self._shares.get(partition) is share:
            complete = share.snapshot()
            if not await self._settle([part] if (part := share.part()) is not None else []):
                return

    async def _settle(self, parts: Sequence[Part]) -> bool:
        """Write them, however long it takes; whether that came before the end of a stop."""
        pause = 0.1
        while parts:
            written = await self._write(parts)
            self._refuse(written)
            if written.settled:
                self.writes += 1
                for part in parts:
                    if (share := self._shares.get(part.partition)) is not None:
                        said = share.settled()
                        self.events.update((one.anomaly.rule, one.anomaly.event) for one in said)
                        _tell(said)
                return True
            self.failed_writes += 1
            if written.trouble:
                if await _elapsed(self._hurry, pause):
                    return False
                pause = min(2 * pause, LONGEST_PAUSE)
                self._note(await self._consumer.keep())  # perhaps the group has moved on without us
            refused = {record for record, _ in written.refused}
            parts = [_without(part, refused) for part in parts if part.partition in self._shares]
            self._attempt_done()
        return True

    async def _write(self, parts: Sequence[Part]) -> Written:
        try:
            return await self._outlet.write(parts, self._consumer.group, self._attempt_done)
        except PositionUnknownError as error:
            settled = await self._resume(self._hurry)
            return Written(bool(settled), [], str(error))

    async def _resume(self, end: asyncio.Event) -> bool | None:
        """What Outlet.resume() says, however long it takes; None if `end` came first."""
        while not end.is_set():
            try:
                return await self._outlet.resume(self._attempt_done)
            except KafkaUnavailableError:
                self._attempt_done()
            self._note(await self._consumer.keep())
            await _elapsed(end, LONGEST_PAUSE)
        return None

    def _refuse(self, written: Written) -> None:
        for record, reason in written.refused:
            self.refused += 1
            _log.error("record refused by kafka", topic=record.topic, reason=reason)


def _tell(said: Iterable[Said]) -> None:
    """To the log; of a storm only that it is one, and not what it is made of."""
    for one in said:
        anomaly = one.anomaly
        if anomaly.storm and anomaly.storm != anomaly.id:
            continue
        fields = {
            "state": anomaly.event,
            "gateway": anomaly.gateway,
            "device": anomaly.device,
            "sensor": anomaly.sensor,
            "rule": anomaly.rule,
            "grade": anomaly.grade,
            "sentence": anomaly.sentence,
            "id": anomaly.id,
        }
        if anomaly.event in {"raised", "updated"}:
            _log.warning("anomaly", **fields)
        else:
            _log.info("anomaly", **fields)


def _add(counts: dict[str, int], share: Share) -> None:
    found: dict[str, int] = msgspec.structs.asdict(share.bank.counts)
    for name, count in found.items():
        counts[name] = counts.get(name, 0) + count
    counts["unusable"] = counts.get("unusable", 0) + share.unusable


def _without(part: Part, refused: set[Record]) -> Part:
    if not refused:
        return part
    said, rows = ([one for one in records if one not in refused] for records in (part.said, part.rows))
    return part._replace(said=said, rows=rows)


async def _elapsed(end: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or until `end`; whether that came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await end.wait()
    return end.is_set()
