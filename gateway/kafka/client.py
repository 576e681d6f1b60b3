"""What every Kafka client here shares: the record, the properties, the meaning of errors."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from devices.credentials import credential_path, read_credential, why_not
from devices.errors import SettingError
from devices.tls import TlsFileError, tls_context
from gateway.config import ConfigError, Kafka
from gateway.kafka.diagnosis import cause
from gateway.kafka_access import own_key
from gateway.named_files import SECRET_FILE, files_in
from gateway.terminal import plain

ADMIN_TIMEOUT: Final = 5.0
"""Seconds that one question to the cluster may take."""


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
"""What the files held when they were last read. Clients are made anew in a running service: a file that is gone by then,
or empty for the moment in which it is replaced, is no reason to end it."""


def options_of(config: Kafka) -> dict[str, str | int | float | bool]:
    """How to get in, and the options; in place of each NAME_file, NAME with what is in the file.

    Read at each call, so that a change is found.

    Raises:
        ConfigError: such a file cannot be read, and never could.
    """
    options = {**config.client_options(), **config.options}
    for key in list(options):
        if key.endswith(SECRET_FILE):
            named = f"kafka.options.{key}" if key in config.options else own_key(key)
            options[key.removesuffix(SECRET_FILE)] = _held_in(str(options.pop(key)), named)
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


def stamps(config: Kafka) -> Mapping[Path, tuple[int, ...]]:
    """By file that the client is made with, what tells whether it was replaced since. Blocks."""
    named = files_in({**config.client_options(), **config.options})
    return {path: _stamp(path) for path in (credential_path(one.path) for one in named)}


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def check_files(config: Kafka) -> None:
    """Whether the files of `tls` can be used. The client would say it in other words, or later.

    Raises:
        ConfigError: one cannot.
    """
    try:
        if config.tls:
            tls_context(config.tls)
    except TlsFileError as error:
        setting = SettingError(f"kafka.{error.key}", error.problem)
        raise ConfigError(str(setting), setting) from None


def check_options(
    config: Kafka, options: Mapping[str, str | int | float | bool], own: Mapping[str, str | bool]
) -> None:
    """Whether the clients take these options, with the properties of `own`. Without a server they stay off the network.

    Raises:
        ConfigError: they do not, or a file of `tls` cannot be used.
    """
    check_files(config)
    found = dict(options)
    for key in options:
        if key.endswith(SECRET_FILE):
            named = f"kafka.options.{key}" if key in config.options else own_key(key)
            found[key.removesuffix(SECRET_FILE)] = _held_in(str(found.pop(key)), named)
    for one in files_in(config.options):
        where = credential_path(one.path)
        if not one.text and one.path != "probe" and not where.exists():
            setting = SettingError(f"kafka.options.{one.key}", f"{str(where)!r} is not there")
            raise ConfigError(str(setting), setting)
    try:
        Producer({**own, **found, "log_level": 0})
        Consumer({"group.id": "check", **found, "log_level": 0}).close()
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
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to write to the topic (WRITE)",
        KafkaError.CLUSTER_AUTHORIZATION_FAILED: "allow this user IdempotentWrite on the cluster",
        KafkaError.SASL_AUTHENTICATION_FAILED: "check username and password_file in [kafka]",
        KafkaError._AUTHENTICATION: "check username and password_file in [kafka]",  # noqa: SLF001 - no public name
        KafkaError._SSL: "check tls in [kafka]",  # noqa: SLF001
        KafkaError._TRANSPORT: "is Kafka running, and are host and port in bootstrap_servers right?",  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN: "is Kafka running, and are host and port in bootstrap_servers right?",  # noqa: SLF001
        KafkaError._RESOLVE: "check the host name in bootstrap_servers",  # noqa: SLF001
        KafkaError._UNKNOWN_TOPIC: "create the topic, or set create_topics = true",  # noqa: SLF001
        KafkaError.INVALID_TIMESTAMP: "set the clock of the gateway or of the broker",
        KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic, or set create_topics = true",
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "allow this user its transactional id (WRITE): docs/security.md",
        KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to read as its group (READ): docs/security.md",
    }
    remedy = remedies.get(error.code())
    words = plain(_IN_STATE.sub("", error.str()))  # some of them are a broker's
    if "OAUTHBEARER token" in words:
        remedy = "check oauth in [kafka], and that its server answers"
    return f"{words}; {remedy}" if remedy else words


_IN_STATE: Final = re.compile(r" \(?after \d+ ?ms( in state \w+(, [^)]*)?)?\)?|(?<=\d)/bootstrap(?=:)")
"""What the client adds for who reads its source; and it differs each time."""


def no_answer(config: Kafka, error: KafkaError, words: str = "") -> str:
    """Why the cluster gives no answer, with what to do. Blocks for a few seconds.

    That is what a look at it finds, else `words`, which the client said of it before, else the error.
    """
    if error.code() > 0:  # it has answered
        return explain(error)
    return cause(properties(config, "look"), words) or words or explain(error)


def explain_reading(error: KafkaError) -> str:
    """As explain(), for who reads."""
    remedies = {
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to read the topic (READ)",
        KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to read as its group (READ): docs/security.md",
    }
    remedy = remedies.get(error.code())
    return f"{plain(_IN_STATE.sub('', error.str()))}; {remedy}" if remedy else explain(error)


def explain_exception(error: BaseException) -> str:
    """The same for what a call of the client raised."""
    return explain(error.args[0]) if isinstance(error, KafkaException) else str(error) or type(error).__name__
