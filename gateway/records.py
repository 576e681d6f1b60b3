"""What stands in Kafka for a batch: its readings and dead letters as records, with their times put right."""

from typing import Final

import msgspec

from devices.reading import Reading
from gateway.clock import Clock, correct, correct_letter
from gateway.config import GatewayConfig
from gateway.kafka.client import Record
from gateway.spool import Batch
from gateway.wire import (
    VERSION,
    DeadLetter,
    Replayed,
    decode_dead_letter,
    decode_reading,
    encode_dead_letter,
    encode_reading,
    encode_replayed,
    text_of,
)

REFUSED: Final = "refused"
"""The kind of a dead letter that stands in the place of a reading that Kafka refused."""

BY_KAFKA: Final = "refused by Kafka"
"""How the reason of such a letter begins."""


class Records:
    """Makes the records of one gateway."""

    def __init__(self, config: GatewayConfig, gateway: str, clock: Clock) -> None:
        """`gateway` is the id that goes into every record."""
        self._kafka = config.kafka
        self._gateway = gateway
        self._key_prefix = "" if config.gateway.device_names == "global" else f"{gateway}/"
        self._clock = clock

    def of(self, batch: Batch, spool: str) -> list[Record]:
        """All of `batch`, in its order; `spool` is the id that its sequences belong to."""
        topic, prefix, gateway = self._kafka.readings_topic, self._key_prefix, self._gateway
        readings, letters = batch.readings, batch.letters
        if correction := self._clock.correction(batch.unset):
            readings = [correct(reading, correction) for reading in readings]
            letters = [correct_letter(letter, correction) for letter in letters]
        records = [
            Record(topic, (prefix + r.device).encode(), encode_reading(r, gateway, spool, seq))
            for seq, r in enumerate(readings, batch.first)
        ]
        for seq, letter in enumerate(letters, batch.first + len(readings)):
            records.append(self.of_letter(msgspec.structs.replace(letter, spool=spool, seq=seq)))
        return records

    def of_reading(self, reading: Reading, spool: str, seq: int) -> Record:
        """A reading by itself, as it is."""
        key = (self._key_prefix + reading.device).encode()
        return Record(self._kafka.readings_topic, key, encode_reading(reading, self._gateway, spool, seq))

    def of_mark(self, mark: Replayed, partition: int) -> Record:
        """The mark of a dead letter of this partition."""
        topic = self._kafka.dead_letters_topic
        return Record(topic, mark.source.encode(), encode_replayed(mark), partition)

    def received(self, batch: Batch) -> int:
        """When the last thing in `batch` was received, as its record has it: nanoseconds since 1970 UTC."""
        correction = self._clock.correction(batch.unset)
        last = (batch.readings or batch.letters)[-1]
        return last.received + (correction.delta if correction else 0)

    def of_letter(self, letter: DeadLetter) -> Record:
        """A dead letter."""
        return Record(self._kafka.dead_letters_topic, letter.source.encode(), encode_dead_letter(letter))

    def is_letter(self, record: Record) -> bool:
        """Whether `record` holds a dead letter."""
        return record.topic == self._kafka.dead_letters_topic

    def instead_of(self, refused: Record, reason: str) -> DeadLetter | None:
        """The dead letter to be sent in the place of a record that Kafka refused; None if nothing can be.

        A letter is larger than what it holds: one that is refused in its turn is sent again with the beginning only.
        """
        if self.is_letter(refused):
            letter = decode_dead_letter(refused.value)
            beginning = letter.payload[: len(letter.payload) // 4]
            if beginning and len(letter.payload) == letter.size:
                return msgspec.structs.replace(letter, payload=beginning, text="")
            return None
        reading = decode_reading(refused.value)
        return DeadLetter(
            VERSION,
            self._gateway,
            reading.source,
            refused.topic,
            f"{BY_KAFKA}: {reason}",
            reading.received,
            len(refused.value),
            refused.value,
            text_of(refused.value),
            reading.spool,
            reading.seq,
            REFUSED,
            reading.flags,
        )
