"""Topics that are made where there are none."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from gateway.config import Kafka
from gateway.kafka.client import ADMIN_TIMEOUT, KafkaUnavailableError, explain, no_answer, properties
from gateway.kafka.outcomes import SAYS_WHY

_log = structlog.get_logger()

TOPIC_SETTINGS: Final = {"message.timestamp.type": "LogAppendTime"}
"""Of topics that are made here: a gateway whose clock is in 2019 must neither have its records expire at once nor refused."""


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
    said: list[str] = []
    admin = None
    settings: dict[str, Any] = {**properties(config, client_id), "log_level": 0}
    settings["error_cb"] = lambda error: said.append(explain(error)) if error.code() in SAYS_WHY else None
    try:
        admin = AdminClient(settings)
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
        if admin is not None:
            admin.poll(0)  # tells `said` what it saw
        raise KafkaUnavailableError(no_answer(config, error.args[0], "".join(said[-1:]))) from None
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
        why = explain(problem)
        if problem.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            why = "this user may not make it: allow it CREATE on the topic, or make the topic yourself"
        _log.warning("topic not created", topic=name, problem=why)
    else:
        _log.info("topic created", topic=name)
