"""Reads the topic of dead letters: a part of it, or all that was ever committed from some place on."""

from collections.abc import Mapping
from typing import Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from gateway.config import Kafka
from gateway.kafka.client import properties
from gateway.kafka.readback import ANSWER_TIMEOUT, Readback, ReadbackError

Partition = tuple[str, int]

CLOCKS: Final = 3_600_000
"""Milliseconds by which the clocks of a gateway and of Kafka may differ."""


class LettersTopic(Readback):
    """See Readback.

    Attributes:
        skipped: how many records, at most, lie before those that are read.
    """

    def __init__(self, config: Kafka, since: int = 0) -> None:
        """Ask the cluster for it. `since`: only what was received then or later, in nanoseconds since 1970 UTC, and a little more.

        Raises:
            ReadbackError: see there; also if there is no such topic.
        """
        self.skipped = 0
        super().__init__(config, [config.dead_letters_topic], (max(0, since // 1_000_000 - CLOCKS), None))
        if self.absent:
            self.close()
            raise ReadbackError(
                f"{config.bootstrap_servers}: there is no topic {config.dead_letters_topic!r}: no gateway has written a dead "
                "letter there; is the name right?"
            )

    def newest(self, records: int) -> None:
        """Let lots() read only so many records of each partition, the last ones."""
        begins = {one: end - records for one, (_, end) in self.places.items()}
        self.skipped = sum(max(0, begins[one] - begin) for one, (begin, _) in self.places.items())
        self.only_from(begins)

    def only_from(self, begins: Mapping[Partition, int]) -> None:
        """Let lots() read these partitions only, each from there, or from where it begins if that is later."""
        known = {one: self.places[one] for one in begins if one in self.places}
        self._ends = {one: self._ends[one] for one in known}
        self._reached = {}
        self._assign({one: min(max(begins[one], begin), end) for one, (begin, end) in known.items()})

    def await_open(self) -> None:
        """Let lots() go on to what is written by now, behind transactions that are still open: it waits for their ends.

        Otherwise what was committed behind the beginning of another transaction stays unseen as long as that is open.

        Raises:
            ReadbackError: see there.
        """
        admin = AdminClient({**properties(self._config, "gatewayctl"), "log_level": 0})
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(*one): latest for one in self._reached}
        level = IsolationLevel.READ_UNCOMMITTED
        try:
            for place, answer in admin.list_offsets(asked, isolation_level=level).items():
                self._ends[place.topic, place.partition] = answer.result(ANSWER_TIMEOUT).offset
        except KafkaException as error:
            self._fail(error)
        except TimeoutError:
            raise ReadbackError(f"no answer in {ANSWER_TIMEOUT:.0f} s") from None
