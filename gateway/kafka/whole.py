"""Reads a topic whole: every record of it, from its beginning on, in no group."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from gateway.config import DetectKafka
from gateway.kafka.client import explain_reading, properties

_log = structlog.get_logger()

ANSWER_TIMEOUT: Final = 5.0
"""Seconds that one question to the cluster may take."""

LOOK_EVERY: Final = 5.0
"""Seconds between two looks whether the topic has (more) partitions."""


class WholeTopic:
    """Hands every record to `take`, in a daemon thread of its own. Kafka is waited for as long as it takes.

    It is quiet about a Kafka that is away, which others tell. What nobody foresaw ends the thread, and `check` tells it.
    """

    def __init__(
        self,
        config: DetectKafka,
        topic: str,
        client: str,
        take: Callable[[Message], None],
        looked: Callable[[Consumer], None] = lambda _: None,
        taken: Callable[[dict[int, int]], None] = lambda _: None,
    ) -> None:
        """`client` names the client to Kafka. `looked` may ask questions every few seconds, once there is something to read;
        `taken` hears, after each lot, up to which offset each partition was read. All of them are called in the thread.
        """  # noqa: D205 - one thought
        self._config = config
        self._topic = topic
        self._client = client
        self._take = take
        self._looked = looked
        self._taken = taken
        self._reached: dict[int, int] = {}
        self._refused = False
        self._failure: Exception | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._try, name=client, daemon=True)

    def start(self) -> None:
        """Begin to read, and wait for no connection."""
        self._thread.start()

    def close(self) -> None:
        """Let the thread end."""
        self._ending.set()

    def check(self) -> None:
        """Raises what ended the thread, if anything did: a defect, after which the service must begin anew. Cheap."""
        if self._failure is not None:
            raise self._failure

    def _try(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - a defect, whatever it is; whoever calls check() raises it
            self._failure = error

    def _run(self) -> None:
        settings: dict[str, Any] = {
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "group.id": self._client,
            "isolation.level": "read_committed",
            "log_level": 0,
            **properties(self._config, self._client),
        }
        consumer = Consumer(settings)
        look = 0.0
        while not self._ending.is_set():
            if not self._reached or time.monotonic() >= look:  # a person may wait for the first answer
                look = time.monotonic() + LOOK_EVERY
                self._look(consumer)
            if not self._reached:
                self._ending.wait(1.0)
                continue
            try:
                for message in consumer.consume(1000, 0.2):
                    self._note(message)
            except KafkaException as error:
                _log.warning(
                    "topic cannot be read", topic=self._topic, problem=explain_reading(error.args[0])
                )
                self._ending.wait(LOOK_EVERY)
            self._taken(self._reached)
        with contextlib.suppress(KafkaException):
            consumer.close()

    def _look(self, consumer: Consumer) -> None:
        with contextlib.suppress(KafkaException, TimeoutError):
            found = consumer.list_topics(self._topic, timeout=ANSWER_TIMEOUT).topics[self._topic]
            new = [number for number in found.partitions if number not in self._reached]
            if new:
                consumer.incremental_assign(
                    [TopicPartition(self._topic, one, OFFSET_BEGINNING) for one in new]
                )
                self._reached.update(dict.fromkeys(new, 0))
            self._refuse(found.error)
            if self._reached:
                self._looked(consumer)

    def _note(self, message: Message) -> None:
        partition, offset, error = message.partition(), message.offset(), message.error()
        if error is None:
            self._take(message)
        elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - no public name
            self._refuse(error)
            return
        if partition is not None and offset is not None:
            self._reached[partition] = offset + (error is None)

    def _refuse(self, error: KafkaError | None) -> None:
        if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED and not self._refused:
            self._refused = True
            _log.warning("topic cannot be read", topic=self._topic, problem=explain_reading(error))
