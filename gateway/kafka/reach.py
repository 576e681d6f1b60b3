"""What is known of the way to Kafka, and when to doubt it."""

import time
from typing import Final

import structlog
from confluent_kafka import KafkaError

from gateway.config import Kafka
from gateway.kafka.client import explain, no_answer
from gateway.kafka.outcomes import SAYS_WHY, UNREACHABLE
from gateway.kafka.sink import Link

_log = structlog.get_logger()

PROBE_EVERY: Final = 5.0
"""Seconds between two looks whether a cluster that is in doubt or unreachable is there."""


class Reach:
    """Whether Kafka answers, and if not, why. Said in the log when it changes.

    Attributes:
        link: what is known.
        over: nobody waits for this client any more: what comes of its last calls is no news of anybody's Kafka.
    """

    def __init__(self, config: Kafka) -> None:
        self._config = config
        self._doubt = self._said = ""
        self._looked = 0.0
        self.over = False
        self.link = Link(None, time.monotonic(), "")

    def note(self, *, reachable: bool, trouble: str = "") -> None:
        """Kafka answered, or did not."""
        if self.over:
            return
        was = self.link
        if reachable:
            self._doubt = ""
        if reachable == was.reachable:
            self.link = was._replace(trouble=trouble or was.trouble if not reachable else "")
            return
        self.link = Link(reachable, time.monotonic(), trouble)
        if reachable:
            _log.info("kafka reachable", bootstrap=self._config.bootstrap_servers)
        else:
            self._say(trouble)

    def reported(self, error: KafkaError) -> None:
        """The client said this beside the reports on records."""
        if error.code() in SAYS_WHY or (error.code() in UNREACHABLE and not self._doubt):
            self._doubt = explain(error)

    def in_question(self) -> bool:
        """Whether there is reason to ask the cluster itself, and the last time was long ago."""
        doubt = self._doubt or self.link.reachable is False
        return bool(doubt) and time.monotonic() - self._looked > PROBE_EVERY

    def looking(self) -> None:
        """The cluster is being asked."""
        self._looked = time.monotonic()

    def no_answer(self, error: KafkaError) -> str:
        """Why Kafka gave none, with what to do; said again where that changes. Blocks for seconds."""
        why = no_answer(self._config, error, self._doubt)
        if self.link.reachable is False and why != self._said:
            self._say(why)
        return why

    def _say(self, trouble: str) -> None:
        self._said = trouble
        _log.warning("kafka unreachable", bootstrap=self._config.bootstrap_servers, problem=trouble)
