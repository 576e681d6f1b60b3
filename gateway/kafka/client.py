"""What every Kafka client here shares: the record, the properties, the meaning of errors, the topics made at start."""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from devices.credentials import credential_path, read_credential, why_not
from devices.errors import SettingError
from gateway.config import SECRET_FILE, ConfigError, Kafka

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
    """Properties common to all clients; `config.options` win over everything set here.

    Raises:
        ConfigError: a file that holds an option cannot be read.
    """
    return {
        "bootstrap.servers": config.bootstrap_servers,
        "client.id": client_id,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 10_000,
        **options_of(config),
    }


_held: dict[Path, str] = {}
"""What the files held when they were last read. Clients are made anew in a running service: a file that is gone by then
is no reason to end it."""


def options_of(config: Kafka) -> dict[str, str | int | float | bool]:
    """The options; in place of each NAME_file, NAME with what is in the file. Read at each call, so a change is found.

    Raises:
        ConfigError: such a file cannot be read, and never could.
    """
    options = dict(config.options)
    for key in config.options:
        if key.endswith(SECRET_FILE):
            options[key.removesuffix(SECRET_FILE)] = _held_in(str(options.pop(key)), f"kafka.options.{key}")
    return options


def _held_in(name: str, key: str) -> str:
    path = credential_path(name)
    try:
        _held[path] = read_credential(name)
    except (OSError, ValueError) as error:
        if path not in _held:
            setting = SettingError(key, f"{str(path)!r} cannot be read: {why_not(error)}")
            raise ConfigError(str(setting), setting) from None
    return _held[path]


def check_options(config: Kafka, own: Mapping[str, str | bool]) -> None:
    """Whether the clients take the options, with the properties of `own`. Without a server they stay off the network.

    Raises:
        ConfigError: they do not.
    """
    options = options_of(config)
    try:
        Producer({**own, **options, "log_level": 0})
        Consumer({"group.id": "check", **options, "log_level": 0}).close()
    except (KafkaException, AttributeError, TypeError, ValueError) as error:
        raise refused(config, error) from None


def refused(config: Kafka, error: Exception) -> ConfigError:
    """What to raise where a client cannot be made; other than KafkaException for a property that is a function in Python."""
    text = error.args[0].str() if isinstance(error, KafkaException) else str(error)
    about = [
        f"kafka.options.{key}" for key in config.options if re.search(rf"""["']{re.escape(key)}["']""", text)
    ]
    setting = SettingError("kafka.options", f"refused by the Kafka client: {text}", about)
    return ConfigError(str(setting), setting)


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
