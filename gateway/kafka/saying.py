"""Writes a few records once, for a person who waits."""

from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from gateway.config import Kafka
from gateway.kafka.client import Record, explain, properties

PATIENCE: Final = 10.0
"""Seconds that the cluster has to answer."""


class SayingError(Exception):
    """The records are not written, or not known to be. The text says why and what to do."""


def say(config: Kafka, records: Sequence[Record]) -> None:
    """Write these records, all to topics that exist; on return they are acknowledged by Kafka.

    Raises:
        SayingError: see there.
    """
    try:
        producer = Producer(
            {
                "allow.auto.create.topics": False,
                "enable.idempotence": True,
                "log_level": 0,
                "message.timeout.ms": round(PATIENCE * 1000),
                **properties(config, "gatewayctl"),
            }
        )
    except KafkaException as error:
        raise SayingError(f"kafka.options: refused by the Kafka client: {error.args[0].str()}") from None
    for topic in sorted({one.topic for one in records}):
        _look(config, producer, topic)
    trouble: list[KafkaError] = []

    def reported(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            trouble.append(error)

    for one in records:
        producer.produce(one.topic, one.value, one.key, on_delivery=reported)
    left = producer.flush(PATIENCE + 1.0)
    if trouble or left:
        why = explain(trouble[0]) if trouble else "it did not answer"
        raise SayingError(f"{config.bootstrap_servers}: {why}")


def _look(config: Kafka, producer: Producer, topic: str) -> None:
    try:
        problem = producer.list_topics(topic, timeout=PATIENCE).topics[topic].error
    except KafkaException as error:
        problem = error.args[0]
    if problem is not None and problem.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise SayingError(
            f"{config.bootstrap_servers}: there is no topic {topic!r}; has gateway-detect run, and is the name right?"
        )
    if problem is not None:
        raise SayingError(f"{config.bootstrap_servers}: {explain(problem)}")
