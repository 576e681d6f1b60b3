"""Reads back what a partition of the state topic holds, and where its readings stand."""

import threading
import time
from contextlib import suppress
from typing import Final, NamedTuple

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from gateway.config import DetectKafka
from gateway.kafka.client import explain_reading, properties

_log = structlog.get_logger()

ANSWER_TIMEOUT: Final = 10.0
"""Seconds that one question to the cluster may take."""

STALL: Final = 30.0
"""Seconds without any record after which reading is given up: longer than Kafka takes to end the transaction of a process
that died in the midst of it (12 s, and until it looks, every ten)."""

SAY_EVERY: Final = 5.0
LOT: Final = 5_000


class StateUnreadableError(Exception):
    """The state cannot be read now: try again. The text says why."""


class Found(NamedTuple):
    """Of one partition.

    Attributes:
        rows: by key, the latest value of each record of the state topic.
        committed: up to where the group has dealt with the readings; None if it has not begun, or Kafka has forgotten.
        low, high: where the readings begin and end.
    """

    rows: dict[bytes, bytes]
    committed: int | None
    low: int
    high: int


def read_state(config: DetectKafka, group: str, partition: int, given_up: threading.Event) -> Found:
    """Read it to its end. Blocks; `given_up` ends it early, with whatever there is.

    The order matters. First the position of the group, once it is stable: from then on only who owns the partition now can move it.
    Then the end of the state, transactions still open included, and all up to that end: so every row that was written together
    with that position, or before, is there.

    Raises:
        StateUnreadableError: see there.
    """
    consumer = Consumer(
        {
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.queue.backoff.ms": 5,
            "group.id": group,
            "isolation.level": "read_committed",
            "log_level": 0,
            **properties(config, group),
        }
    )
    try:
        readings = TopicPartition(config.readings_topic, partition)
        committed = _committed(consumer, readings)
        low, high = consumer.get_watermark_offsets(readings, ANSWER_TIMEOUT)
        end = _end(config, group, TopicPartition(config.state_topic, partition))
        rows = _read(consumer, config.state_topic, partition, end, given_up)
    except KafkaException as error:
        raise StateUnreadableError(explain_reading(error.args[0])) from None
    except TimeoutError:
        raise StateUnreadableError(f"no answer in {ANSWER_TIMEOUT:.0f} s") from None
    finally:
        with suppress(KafkaException):
            consumer.close()
    return Found(rows, committed, low, high)


def _committed(consumer: Consumer, place: TopicPartition) -> int | None:
    [found] = consumer.committed([place], ANSWER_TIMEOUT)
    if found.error is not None:
        raise KafkaException(found.error)
    return found.offset if found.offset >= 0 else None


def _end(config: DetectKafka, group: str, place: TopicPartition) -> int:
    """Where the partition ends, behind transactions that are not decided yet too."""
    admin = AdminClient({**properties(config, group), "log_level": 0})
    newest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = admin.list_offsets({place: newest}, isolation_level=IsolationLevel.READ_UNCOMMITTED)
    return int(asked[place].result(ANSWER_TIMEOUT).offset)


def _read(
    consumer: Consumer, topic: str, partition: int, end: int, given_up: threading.Event
) -> dict[bytes, bytes]:
    rows: dict[bytes, bytes] = {}
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    reached = 0
    began = said = heard = time.monotonic()
    while reached < end and not given_up.is_set():
        messages = consumer.consume(LOT, 0.1)
        now = time.monotonic()
        for message in messages:
            offset = message.offset() or 0
            if (error := message.error()) is None:
                key, value = message.key() or b"", message.value()
                if value:
                    rows[key] = value
                else:
                    rows.pop(key, None)
                reached = offset + 1
                heard = now
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client gives it no public name
                reached = max(reached, offset)
            elif not error.retriable():
                raise KafkaException(error)
        if now - heard > STALL:
            raise StateUnreadableError(f"no record came for {STALL:.0f} s")
        if now - said > SAY_EVERY:
            said = now
            _log.info("reading state", partition=partition, reached=reached, of=end, rows=len(rows))
    _log.debug("state read", partition=partition, rows=len(rows), seconds=round(time.monotonic() - began, 2))
    return rows
