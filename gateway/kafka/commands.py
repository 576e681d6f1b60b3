"""Hears what people say about anomalies: reads the topic of commands whole."""

from collections.abc import Sequence
from typing import Final

import structlog
from confluent_kafka import Message

from gateway.config import DetectKafka
from gateway.kafka.whole import WholeTopic
from gateway.wire import Command, WireError, decode_command

_log = structlog.get_logger()

RECORD_LIMIT: Final = 4_096
KEPT: Final = 20_000
"""Bytes of a record that is looked at; and commands that are remembered for partitions that are still to come."""


class Commands:
    """Every command that the topic holds, in a list that only grows at its end. Reads in a thread of its own.

    Attributes:
        unreadable: records so far that are no commands.
    """

    def __init__(self, config: DetectKafka, group: str) -> None:
        """start() begins. `group` is for the name of the client; it is not joined."""
        self.unreadable = 0
        self._heard: tuple[list[Command], int] = [], 0  # and how many before them are forgotten
        self._topic = config.commands_topic
        self._reader = WholeTopic(config, self._topic, f"{group}-commands", self._take)

    def start(self) -> None:
        """Begin to read, and wait for no connection."""
        self._reader.start()

    def since(self, count: int) -> tuple[Sequence[Command], int]:
        """What came after the first `count` commands, and how many there are now.

        Raises what ended the thread, if anything did: see WholeTopic.check.
        """
        self._reader.check()
        heard, forgotten = self._heard
        new = heard[max(0, count - forgotten) :]
        return new, max(count, forgotten) + len(new)

    def close(self) -> None:
        """Let the thread end."""
        self._reader.close()

    def _take(self, message: Message) -> None:
        value = message.value() or b""
        problem = f"larger than {RECORD_LIMIT} bytes"
        if len(value) <= RECORD_LIMIT:
            try:
                command = decode_command(value)
            except WireError as error:
                problem = str(error)
            else:
                heard, forgotten = self._heard
                heard.append(command)
                if len(heard) > KEPT:
                    self._heard = heard[KEPT // 2 :], forgotten + KEPT // 2
                return
        self.unreadable += 1
        if self.unreadable == 1:
            _log.warning("record is no command", topic=self._topic, problem=problem)
