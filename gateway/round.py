"""A round: the batches that are on their way to Kafka together, and what the ledger has to say of them."""

from collections.abc import Mapping, Sequence

import structlog

from gateway.kafka.client import Record
from gateway.ledger import Ledger, SourceLedger
from gateway.records import Records
from gateway.spool import Batch
from gateway.wire import decode_dead_letter, decode_reading

_log = structlog.get_logger()


class Round:
    """Batches on their way, and those of their records that Kafka refused.

    Attributes:
        batches: they, in their order.
        last: the sequence of their last item.
        refused: each with the reason.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = batches
        self.last = batches[-1].last
        self.refused: list[tuple[Record, str]] = []

    def add_to(self, totals: Mapping[str, SourceLedger], records: Records) -> None:
        """Count it as delivered, but for what was refused, in totals that hold every source of it."""
        for batch in self.batches:
            for source, count in batch.counts.items():
                totals[source].delivered += count
        for record, _ in self.refused:
            if records.is_letter(record):
                totals[decode_dead_letter(record.value).source].dead_letters_dropped += 1
            else:
                source = decode_reading(record.value).source
                totals[source].delivered -= 1
                totals[source].refused += 1

    def settle(self, records: Records, ledger: Ledger) -> None:
        """Kafka has it: what was refused is no more among what its batches delivered, and each of these is logged."""
        for record, reason in self.refused:
            if records.is_letter(record):
                source = decode_dead_letter(record.value).source
                ledger.source(source).dead_letters_dropped += 1
                _log.error("dead letter refused by kafka", source=source, reason=reason)
                continue
            reading = decode_reading(record.value)
            batch = next(batch for batch in self.batches if batch.first <= reading.seq <= batch.last)
            batch.counts[reading.source] -= 1
            ledger.refused(reading.source)
            _log.error(
                "reading refused by kafka",
                source=reading.source,
                device=reading.device,
                sensor=reading.sensor,
                seq=reading.seq,
                reason=reason,
            )
