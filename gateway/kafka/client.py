"""What every Kafka client here shares: the record, the properties, the meaning of errors, the topics made at start."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from gateway.config import ConfigError, DetectKafka, Kafka

_log = structlog.get_logger()

ADMIN_TIMEOUT: Final = 5.0
"""Seconds that one question to the cluster may take."""


TOPIC_SETTINGS: Final = {"message.timestamp.type": "LogAppendTime"}
"""Of topics that are made here: a gateway whose clock is in 2019 must neither have its records expire at once nor refused."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record to be written.

    Attributes:
        topic, key: where it goes; without a key to any partition.
        value: empty: none at all, which takes what a compacted topic holds under this key away.
        partition: where it goes, whatever its key; negative: by its key.
    """

    topic: str
    key: bytes | None
    value: bytes
    partition: int = -1


class Topic(NamedTuple):
    """A topic to be made where there is none.

    Attributes:
        name: of it.
        partitions: how many; 0 leaves it to the broker.
        settings: by Kafka's names.
    """

    name: str
    partitions: int
    settings: Mapping[str, str]


class KafkaUnavailableError(Exception):
    """The cluster could not be asked. Try again later; the text says what the client saw."""


def properties(config: Kafka, client_id: str) -> dict[str, str | int | float | bool]:
    """Properties common to all clients; `config.options` win over everything set here."""
    return {
        "bootstrap.servers": config.bootstrap_servers,
        "client.id": client_id,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 10_000,
        **config.options,
    }


def check_options(config: DetectKafka) -> None:
    """Whether the clients of gateway-detect take the options. Without a server to connect to they stay off the network.

    Raises:
        ConfigError: they do not.
    """
    exactly_once = config.delivery == "exactly-once"
    own: dict[str, str | bool] = (
        {"transactional.id": "check"} if exactly_once else {"enable.idempotence": True}
    )
    try:
        Producer({**own, **config.options, "log_level": 0})
        Consumer({"group.id": "check", **config.options, "log_level": 0}).close()
    except KafkaException as error:
        raise ConfigError(f"kafka.options: refused by the Kafka client: {error.args[0].str()}") from None
    except (AttributeError, TypeError, ValueError) as error:  # a property that is a function in Python
        raise ConfigError(f"kafka.options: refused by the Kafka client: {error}") from None


def cursor_group(gateway: str) -> str:
    """The consumer group, without members, whose offset is the position of this gateway."""
    return f"gateway-cursor-{gateway}"


def explain(error: KafkaError) -> str:
    """What a person should read for an error of the client: its words, and what to do where we know."""
    remedies = {
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to write to the topic",
        KafkaError.CLUSTER_AUTHORIZATION_FAILED: "allow this user IdempotentWrite on the cluster",
        KafkaError.SASL_AUTHENTICATION_FAILED: "check sasl.username and sasl.password in [kafka.options]",
        KafkaError._AUTHENTICATION: "check sasl.username and sasl.password in [kafka.options]",  # noqa: SLF001 - no public name
        KafkaError._SSL: "check the certificates named in [kafka.options]",  # noqa: SLF001
        KafkaError._TRANSPORT: "is Kafka running, and are host and port in bootstrap_servers right?",  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN: "is Kafka running, and are host and port in bootstrap_servers right?",  # noqa: SLF001
        KafkaError._RESOLVE: "check the host name in bootstrap_servers",  # noqa: SLF001
        KafkaError._UNKNOWN_TOPIC: "create the topic, or set create_topics = true",  # noqa: SLF001
        KafkaError.INVALID_TIMESTAMP: "set the clock of the gateway or of the broker",
        KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic, or set create_topics = true",
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "allow this user the transactional id gateway-ID",
        KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to read as the group",
    }
    remedy = remedies.get(error.code())
    return f"{error.str()}; {remedy}" if remedy else str(error.str())


def explain_reading(error: KafkaError) -> str:
    """As explain(), for who reads."""
    remedies = {
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to read the topic",
        KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to read as this consumer group",
    }
    remedy = remedies.get(error.code())
    return f"{error.str()}; {remedy}" if remedy else explain(error)


def explain_exception(error: BaseException) -> str:
    """The same for what a call of the client raised."""
    return explain(error.args[0]) if isinstance(error, KafkaException) else str(error) or type(error).__name__


def ensure_topics(config: Kafka, client_id: str, names: Sequence[str]) -> None:
    """Make the topics that do not exist, as the configuration wants them. See make_topics."""
    make_topics(
        config, client_id, [Topic(name, config.partitions, _settings(config, name)) for name in names]
    )


def make_topics(config: Kafka, client_id: str, topics: Sequence[Topic]) -> None:
    """Make the topics that do not exist. Blocks for up to three times ADMIN_TIMEOUT.

    What the cluster refuses (no permission, a policy) is logged with what to do, and left to its administrator.

    Raises:
        KafkaUnavailableError: the cluster did not answer.
    """
    admin = AdminClient({**properties(config, client_id), "log_level": 0})
    try:
        known = admin.list_topics(timeout=ADMIN_TIMEOUT).topics
        missing = [
            NewTopic(one.name, one.partitions or -1, config.replication or -1, config=dict(one.settings))
            for one in topics
            if one.name not in known
        ]
        if missing:
            for name, future in admin.create_topics(missing, request_timeout=ADMIN_TIMEOUT).items():
                _note_creation(name, future)
    except KafkaException as error:
        raise KafkaUnavailableError(explain(error.args[0])) from None
    except TimeoutError:
        raise KafkaUnavailableError("the cluster did not say whether it made the topics") from None
    finally:
        del (
            admin
        )  # the error holds this frame, and this its threads, for as long as somebody remembers the error


def _settings(config: Kafka, name: str) -> dict[str, str]:
    """Of a topic to be made. Of a gateway's status only the last one counts."""
    return {**TOPIC_SETTINGS, "cleanup.policy": "compact"} if name == config.status_topic else TOPIC_SETTINGS


def _note_creation(name: str, future: "Future[None]") -> None:
    try:
        future.result(2 * ADMIN_TIMEOUT)  # the request's own time-out, which says more, comes first
    except KafkaException as error:
        problem: KafkaError = error.args[0]
        if problem.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return
        if problem.retriable() or problem.code() == KafkaError._TIMED_OUT:  # noqa: SLF001
            raise
        _log.warning("topic not created", topic=name, problem=explain(problem))
    else:
        _log.info("topic created", topic=name)
