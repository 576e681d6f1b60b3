"""Writes what was made of dead letters, each once, whatever ends it in between and however often it is repeated."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from gateway.cli.dead_letters.reading import take
from gateway.config import Kafka
from gateway.kafka.client import KafkaUnavailableError, Record
from gateway.kafka.letters_topic import LettersTopic
from gateway.kafka.readback import ReadbackError
from gateway.kafka.replaying import Replaying
from gateway.kafka.sink import PositionUnknownError
from gateway.letters import Found, Id, Letter
from gateway.recovery import Made, Recovery
from gateway.wire import Replayed, encode_replayed

ROUND: Final = 1_000
"""Readings of a transaction, or those of one letter if it has more."""

ATTEMPTS: Final = 3
"""Before it is given up. Each waits for Kafka's answers as long as the gateway does."""


class Outcome(NamedTuple):
    """What became of the letters.

    Attributes:
        written: replayed, by this call or by an attempt of it whose outcome was not known at first.
        already: replayed by somebody else since they were read.
        refused: Kafka refuses a record of them, with its reason.
        trouble: why the others were not replayed; empty: there are no others.
    """

    written: list[Made]
    already: list[Made]
    refused: list[tuple[Made, str]]
    trouble: str


class _UnfinishedError(Exception):
    """Kafka did not take it now."""


class _Writing:
    """One call of write()."""

    def __init__(self, kafka: Kafka, gateway: str, recovery: Recovery, made: Sequence[Made]) -> None:
        self._kafka = kafka
        self._recovery = recovery
        self._replaying = Replaying(kafka, gateway)
        self._left = {one.letter.id: one for one in made}
        self._tried: dict[Id, set[bytes]] = {}  # their marks, whose times differ from those of others
        self.outcome = Outcome([], [], [], "")

    async def run(self, told: Callable[[int], None]) -> Outcome:
        trouble = ""
        try:
            for _ in range(ATTEMPTS):
                try:
                    await self._attempt(told)
                except (
                    KafkaUnavailableError,
                    PositionUnknownError,
                    ReadbackError,
                    _UnfinishedError,
                ) as error:
                    trouble = str(error)
                else:
                    break
        finally:
            with suppress(KafkaUnavailableError):
                await self._replaying.close()
        return self.outcome._replace(trouble=trouble if self._left else "")

    async def _attempt(self, told: Callable[[int], None]) -> None:
        """From now on nobody else writes, so what has no mark yet gets none but ours."""
        await self._replaying.begin()
        marks = await asyncio.to_thread(_marks, self._kafka, [one.letter for one in self._left.values()])
        for id_ in marks.keys() & self._left.keys():
            ours = encode_replayed(marks[id_]) in self._tried.get(id_, ())
            (self.outcome.written if ours else self.outcome.already).append(self._left.pop(id_))
        for lot in _rounds(list(self._left.values())):
            await self._round(lot)
            told(len(self.outcome.written))

    async def _round(self, lot: list[Made]) -> None:
        """All of these in one transaction, without those of which Kafka refuses a record."""
        while lot:
            owners: dict[Record, Made] = {}
            for one in lot:
                records = self._recovery.records(one)
                self._tried.setdefault(one.letter.id, set()).add(records[-1].value)
                owners.update(dict.fromkeys(records, one))
            sent = await self._replaying.write(list(owners))
            for record, reason in sent.refused:
                one = owners[record]
                if self._left.pop(one.letter.id, None) is not None:
                    self.outcome.refused.append((one, reason))
                    lot = [other for other in lot if other is not one]
            if sent.refused:
                continue
            if sent.pending:
                raise _UnfinishedError(sent.trouble)
            for one in lot:
                self.outcome.written.append(self._left.pop(one.letter.id))
            return


def write(
    kafka: Kafka, gateway: str, recovery: Recovery, made: Sequence[Made], told: Callable[[int], None]
) -> Outcome:
    """Write these; what was replayed before is left out. `told` hears how many are written so far.

    A letter is replayed if its mark is in the topic, and its readings are in the same transaction. Whoever begins ends all
    others of this gateway, and looks for marks only then.

    Raises:
        ConfigError: the Kafka client refuses its options.
    """
    return asyncio.run(_Writing(kafka, gateway, recovery, made).run(told))


def _marks(kafka: Kafka, letters: Sequence[Letter]) -> dict[Id, Replayed]:
    """The marks of all letters that lie where these do, or behind them.

    Raises:
        ReadbackError: see there.
    """
    found = Found(lambda _: False, kept=0, room=0)
    topic = LettersTopic(kafka)
    try:
        places: dict[tuple[str, int], int] = {}
        for one in letters:
            partition = kafka.dead_letters_topic, one.place.partition
            places[partition] = min(one.place.offset, places.get(partition, one.place.offset))
        topic.only_from(places)
        topic.await_open()
        take(topic, found)
    finally:
        topic.close()
    return found.marks


def _rounds(made: Sequence[Made]) -> Iterator[list[Made]]:
    lot: list[Made] = []
    size = 0
    for one in made:
        if lot and size + len(one.readings) + 1 > ROUND:
            yield lot
            lot, size = [], 0
        lot.append(one)
        size += len(one.readings) + 1
    if lot:
        yield lot
