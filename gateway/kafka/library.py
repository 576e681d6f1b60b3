"""Which Kafka client is installed."""

from confluent_kafka import libversion


def librdkafka_version() -> str:
    """The version of librdkafka."""
    text: str = libversion()[0]
    return text
