"""The topics of gateway-detect: that they are there, and that the one of the state is fit for it."""

import time
from typing import Final

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from gateway.config import DetectKafka
from gateway.kafka.client import ADMIN_TIMEOUT, KafkaUnavailableError, no_answer, properties
from gateway.kafka.topics import TOPIC_SETTINGS, Topic, ensure_topics, make_topics

_log = structlog.get_logger()

STATE_SETTINGS = {
    **TOPIC_SETTINGS,
    "cleanup.policy": "compact",
    # A restart reads what is not compacted yet: so small segments, soon closed, and cleaned when a fifth is out of date.
    "segment.bytes": "33554432",
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.2",
    "min.compaction.lag.ms": "60000",  # a snapshot that is being written is left alone
    "max.compaction.lag.ms": "3600000",
}

COMMAND_SETTINGS = {**TOPIC_SETTINGS, "retention.ms": str(7 * 24 * 3600 * 1000), "segment.ms": "86400000"}
"""A command is of use while its anomaly is open or fresh, and every process reads all there are when it starts."""


LOOK_EVERY: Final = 0.05
"""Seconds between two looks whether a topic that was made is known."""


class StateTopicError(Exception):
    """The state topic cannot serve. The text says why and what to do."""


def ensure_detect_topics(config: DetectKafka, client_id: str) -> None:
    """Make those that do not exist, where the configuration allows it, and look at the one of the state.

    Raises:
        KafkaUnavailableError: the cluster did not answer, or does not know the readings topic that it made.
        StateTopicError: see there.
    """
    if config.create_topics:
        ensure_topics(config, client_id, [config.readings_topic, config.anomalies_topic])
    try:
        admin = AdminClient({**properties(config, client_id), "log_level": 0})
    except KafkaException as error:  # a certificate is being replaced
        raise KafkaUnavailableError(no_answer(config, error.args[0])) from None
    readings = _partitions(config, admin, config.readings_topic)
    if config.create_topics:
        readings = readings or _made(config, admin)
        state = Topic(config.state_topic, readings, STATE_SETTINGS)
        make_topics(config, client_id, [state, Topic(config.commands_topic, 1, COMMAND_SETTINGS)])
    found = _partitions(config, admin, config.state_topic)
    if found and readings and found < readings:
        raise StateTopicError(
            f"kafka.state_topic: {config.state_topic!r} has {found} partitions, {config.readings_topic!r} has {readings}: "
            f"give it as many (kafka-topics.sh --alter --topic {config.state_topic} --partitions {readings}); "
            "what is in it stays good"
        )
    if found > readings > 0:
        _log.warning(
            "state topic has more partitions than the readings",
            topic=config.state_topic,
            partitions=found,
            readings=readings,
            remedy=f"if those were made anew, stop all gateway-detect and delete {config.state_topic}: all sensors are learnt anew",
        )
    if config.create_topics:
        _check_compacted(admin, config.state_topic)


def _made(config: DetectKafka, admin: AdminClient) -> int:
    """How many partitions the readings topic has, which was made a moment ago: a broker may not have heard of it yet.

    Without it the state topic is not made: what would be guessed of its partitions would stay.

    Raises:
        KafkaUnavailableError: there is no such topic; why none could be made is in the log.
    """
    until = time.monotonic() + ADMIN_TIMEOUT
    while time.monotonic() < until:
        if found := _partitions(config, admin, config.readings_topic):
            return found
        time.sleep(LOOK_EVERY)
    raise KafkaUnavailableError(
        f"there is no topic {config.readings_topic}: make it, or see the log for why it is not made"
    )


def _partitions(config: DetectKafka, admin: AdminClient, topic: str) -> int:
    """How many there are; 0 if the topic does not exist (yet)."""
    try:
        found = admin.list_topics(topic, timeout=ADMIN_TIMEOUT).topics[topic]
    except KafkaException as error:
        raise KafkaUnavailableError(no_answer(config, error.args[0])) from None
    return len(found.partitions) if found.error is None else 0


def _check_compacted(admin: AdminClient, topic: str) -> None:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    try:
        settings = admin.describe_configs([resource])[resource].result(ADMIN_TIMEOUT)
    except (KafkaException, TimeoutError):
        return  # not allowed to ask, or no Kafka that could be asked
    if "compact" not in (policy := settings["cleanup.policy"].value or ""):
        _log.warning(
            "state topic is not compacted",
            topic=topic,
            policy=policy,
            effect="it grows without end, or forgets sensors",
            remedy=f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config cleanup.policy=compact",
        )
