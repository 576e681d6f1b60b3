"""Hears what people say about anomalies: reads the topic of commands whole, in no group."""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from gateway.config import DetectKafka
from gateway.kafka.client import explain_reading, properties
from gateway.wire import Command, WireError, decode_command

_log = structlog.get_logger()

RECORD_LIMIT: Final = 4_096
KEPT: Final = 20_000
"""Bytes of a record that is looked at; and commands that are remembered for partitions that are still to come."""

LOOK_EVERY: Final = 10.0
"""Seconds between two looks whether the topic has (more) partitions."""


class Commands:
    """Every command that the topic holds, in a list that only grows at its end. Reads in a daemon thread of its own.

    Attributes:
        unreadable: records so far that are no commands.
    """

    def __init__(self, config: DetectKafka, group: str) -> None:
        """start() begins. `group` is for the name of the client; it is not joined."""
        self.unreadable = 0
        self._config = config
        self._client = f"{group}-commands"
        self._heard: tuple[list[Command], int] = [], 0  # and how many before them are forgotten
        self._partitions = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commands", daemon=True)

    def start(self) -> None:
        """Begin to read, and wait for no connection."""
        self._thread.start()

    def since(self, count: int) -> tuple[Sequence[Command], int]:
        """What came after the first `count` commands, and how many there are now."""
        heard, forgotten = self._heard
        new = heard[max(0, count - forgotten) :]
        return new, max(count, forgotten) + len(new)

    def close(self) -> None:
        """Let the thread end."""
        self._ending.set()

    def _run(self) -> None:
        settings: dict[str, Any] = {
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "group.id": self._client,
            "isolation.level": "read_committed",
            "log_level": 0,
            **properties(self._config, self._client),
        }
        consumer = Consumer(settings)
        look = 0.0
        while not self._ending.is_set():
            if not self._partitions or time.monotonic() >= look:  # a person may wait for the first answer
                look = time.monotonic() + LOOK_EVERY
                self._look(consumer)
            if not self._partitions:
                self._ending.wait(1.0)
                continue
            try:
                for message in consumer.consume(1000, 0.2):
                    if message.error() is None:
                        self._take(message.value() or b"")
            except KafkaException as error:
                _log.warning("commands cannot be read", problem=explain_reading(error.args[0]))
                self._ending.wait(LOOK_EVERY)
        with contextlib.suppress(KafkaException):
            consumer.close()

    def _look(self, consumer: Consumer) -> None:
        """Read what partitions there are; quiet about a Kafka that is away, which others tell."""
        topic = self._config.commands_topic
        with contextlib.suppress(KafkaException):
            found = consumer.list_topics(topic, timeout=5.0).topics[topic].partitions
            new = [
                TopicPartition(topic, number, OFFSET_BEGINNING)
                for number in found
                if number >= self._partitions
            ]
            if new:
                consumer.incremental_assign(new)
                self._partitions = len(found)

    def _take(self, value: bytes) -> None:
        problem = f"larger than {RECORD_LIMIT} bytes"
        if len(value) <= RECORD_LIMIT:
            try:
                command = decode_command(value)
            except WireError as error:
                problem = str(error)
            else:
                heard, forgotten = self._heard
                heard.append(command)
                if len(heard) > KEPT:
                    self._heard = heard[KEPT // 2 :], forgotten + KEPT // 2
                return
        self.unreadable += 1
        if self.unreadable == 1:
            _log.warning("record is no command", topic=self._config.commands_topic, problem=problem)
