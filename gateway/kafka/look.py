"""Looks at a cluster as an administrator would, with the rights of the gateway, and changes nothing there."""

import contextlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from gateway.config import Kafka
from gateway.kafka.client import KafkaUnavailableError, explain, no_answer, properties
from gateway.kafka.transactions import TRANSACTION_TIMEOUT

T = TypeVar("T")

CLIENT_ID: Final = "gatewayctl-doctor"

_NOWHERE: Final = logging.Logger("kafka", logging.CRITICAL + 1)  # noqa: LOG001 - apart from those that are configured

_TELLING: Final = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE}  # noqa: SLF001 - no public names
)
"""These say why no broker answers, so the last of them is remembered."""


class Broker(NamedTuple):
    """A broker as the cluster names it to clients."""

    id: int
    host: str
    port: int


class TopicSeen(NamedTuple):
    """A topic.

    Attributes:
        missing: there is none of this name, or this user may not know of it.
        hidden: this user may not know of it.
        partitions: how many.
        replicas: copies of the partition that has the fewest.
        in_sync: copies that are up to date, of the partition that has the fewest.
        leaderless: partitions without a leader now.
        allowed: what this user may do, in capitals; None: the cluster does not say.
        settings: by Kafka's names; empty: this user may not read them.
    """

    missing: bool
    hidden: bool = False
    partitions: int = 0
    replicas: int = 0
    in_sync: int = 0
    leaderless: int = 0
    allowed: frozenset[str] | None = None
    settings: Mapping[str, str] = {}


class Cluster(NamedTuple):
    """A cluster.

    Attributes:
        brokers: those that are there.
        allowed: what this user may do with the cluster, in capitals; None: it does not say.
        topics: those that were asked for, by name.
        group_refused: whether this user may not even know of the group that was asked for.
        group_allowed: what this user may do with that group; None: it does not say.
        settings: of a broker; empty: this user may not read them.
    """

    brokers: list[Broker]
    allowed: frozenset[str] | None
    topics: dict[str, TopicSeen]
    group_refused: bool
    group_allowed: frozenset[str] | None
    settings: Mapping[str, str]


def look(config: Kafka, topics: Sequence[str], group: str, within: float) -> Cluster:
    """Ask for all of it. Blocks for at most about `within` seconds, and diagnosis.DEADLINE where it does not answer.

    Raises:
        KafkaUnavailableError: the cluster does not answer; the text says why and what to do.
        ConfigError: a file that holds an option cannot be read.
    """
    why: list[KafkaError] = []

    def note(error: KafkaError) -> None:
        if error.code() in _TELLING:
            why.append(error)

    deadline = time.monotonic() + within
    try:
        settings: dict[str, Any] = {**properties(config, CLIENT_ID), "log_level": 0, "error_cb": note}
        admin = AdminClient(settings)
        admin.poll(0)
        found = _first_answer(admin, why, within / 2)
        left = max(0.5, deadline - time.monotonic())
        names = sorted(set(topics))
        cluster = admin.describe_cluster(include_authorized_operations=True, request_timeout=left)
        described = admin.describe_topics(
            TopicCollection(names), include_authorized_operations=True, request_timeout=left
        )
        groups = admin.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=left
        )
        wanted = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        wanted.append(ConfigResource(ResourceType.BROKER, str(min(found.brokers))))
        configs = admin.describe_configs(wanted, request_timeout=left)
        allowed = _operations(_result(cluster, deadline))
        seen = {
            name: _topic(described[name], configs[resource], deadline)
            for name, resource in zip(names, wanted, strict=False)
        }
        group_refused, group_seen = False, None
        try:
            group_seen = groups[group].result(max(0.1, deadline - time.monotonic()))
        except KafkaException as error:
            group_refused = error.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED
        except TimeoutError:
            pass
        return Cluster(
            [Broker(one.id, one.host, one.port) for one in found.brokers.values()],
            allowed,
            seen,
            group_refused,
            _operations(group_seen),
            _settings(configs[wanted[-1]], deadline),
        )
    except KafkaException as error:
        said = explain(why[-1]) if why else ""
        raise KafkaUnavailableError(no_answer(config, error.args[0], said)) from None


def try_transaction(config: Kafka, transactional_id: str, within: float) -> tuple[str, bool]:
    """Begin to work in transactions under an id that must be nobody else's: why that fails, and whether for want of rights.

    Empty if it works. Blocks for at most about `within` seconds.
    """
    producer = Producer(
        {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": round(1000 * TRANSACTION_TIMEOUT),
            "log_level": 0,
            "logger": _NOWHERE,  # what is fatal is written at any level
            **properties(config, CLIENT_ID),
        }
    )
    try:
        producer.init_transactions(within)
    except KafkaException as error:
        problem: KafkaError = error.args[0]
        return explain(problem), problem.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    return "", False


def _first_answer(admin: AdminClient, why: list[KafkaError], within: float) -> Any:
    """The brokers, from whichever answers. Does not wait on where it is known that none will."""
    deadline = time.monotonic() + within
    while True:
        try:
            return admin.list_topics(timeout=0.5)
        except KafkaException:
            admin.poll(0)
            if why or time.monotonic() > deadline:
                raise


def _result(future: "Future[T]", deadline: float) -> T | None:
    with contextlib.suppress(KafkaException, TimeoutError):
        return future.result(max(0.1, deadline - time.monotonic()))
    return None


def _operations(described: Any) -> frozenset[str] | None:
    found: Iterable[Any] | None = getattr(described, "authorized_operations", None)
    return None if found is None else frozenset(one.name for one in found)


def _topic(described: "Future[Any]", configs: "Future[Any]", deadline: float) -> TopicSeen:
    try:
        found = described.result(max(0.1, deadline - time.monotonic()))
    except KafkaException as error:
        return TopicSeen(True, hidden=error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED)
    except TimeoutError:
        return TopicSeen(False)
    return TopicSeen(
        False,
        False,
        len(found.partitions),
        min((len(one.replicas) for one in found.partitions), default=0),
        min((len(one.isr) for one in found.partitions), default=0),
        sum(one.leader is None for one in found.partitions),
        _operations(found),
        _settings(configs, deadline),
    )


def _settings(future: "Future[Any]", deadline: float) -> dict[str, str]:
    return {name: str(entry.value) for name, entry in (_result(future, deadline) or {}).items()}
