"""Reads the readings topic as any careful consumer would, and hands everything to the judge."""

import threading
import time
from collections.abc import Callable
from typing import Self

from confluent_kafka import Consumer, KafkaError, TopicPartition

from gateway import wire


class Reader:
    """A consumer of committed records in a thread of its own, from the beginning of the topic. Use as a context manager.

    Attributes:
        trouble: what it could not read, or read twice; must stay empty.
    """

    def __init__(
        self, bootstrap: str, topic: str, partitions: int, take: Callable[[wire.Reading, int], None]
    ) -> None:
        """`take` hears every reading, in order within a partition, and when it came."""
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "laboratory",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 100,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._topic = topic
        self._partitions = partitions
        self._take = take
        self._offsets = dict.fromkeys(range(partitions), -1)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader")
        self.trouble = ""

    def __enter__(self) -> Self:
        # Assigned and not subscribed: a group could be rebalanced, and commits nothing here anyway.
        self._consumer.assign([TopicPartition(self._topic, number, 0) for number in range(self._partitions)])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            for message in self._consumer.consume(1000, 0.05):
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._AUTO_OFFSET_RESET or error.fatal():
                        self.trouble = f"the reader lost its place: {error.str()}"
                    continue
                partition, offset = message.partition(), message.offset()
                if partition is None or offset is None or offset <= self._offsets[partition]:
                    self.trouble = f"the reader was given {partition}/{offset} twice"
                    continue
                self._offsets[partition] = offset
                try:
                    self._take(wire.decode_reading(message.value() or b""), time.monotonic_ns())
                except wire.WireError as error:
                    self.trouble = f"not a reading at {partition}/{offset}: {error}"
