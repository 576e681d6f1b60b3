"""Brings partitions that were assigned to where their readings can be judged, beside those that are judged already."""

import asyncio
import threading
from typing import Final

import structlog

from gateway.detect.config import DetectConfig
from gateway.detect.judge import MakeBank
from gateway.detect.share import Share
from gateway.kafka.state import StateReader, StateUnreadableError
from gateway.kafka.worker import HangError, Worker

_log = structlog.get_logger()

AT_ONCE: Final = 2
"""Partitions restored at the same time: each takes a client of its own."""

DEADLINE: Final = 600.0
PAUSE: Final = 1.0
"""Seconds that one restore may take, and until it is tried again."""


class Restoring:
    """Used from one event loop. Each restore runs in a thread of its own, which holds up no exit."""

    def __init__(self, config: DetectConfig, make_bank: MakeBank, producer: str) -> None:
        """`producer` is the transactional id of this process; empty: it has none."""
        self._config = config
        self._make_bank = make_bank
        self._producer = producer
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[int, tuple[asyncio.Task[Share], threading.Event]] = {}

    def __len__(self) -> int:
        """Partitions that are being restored, or wait for that."""
        return len(self._tasks)

    def begin(self, partition: int) -> None:
        """Restore this one, for as long as it takes."""
        given_up = threading.Event()
        task = asyncio.create_task(self._restore(partition, given_up))
        self._tasks[partition] = task, given_up

    def give_up(self, partition: int) -> None:
        """It is another member's. Does nothing if it is not being restored."""
        if partition in self._tasks:
            task, given_up = self._tasks.pop(partition)
            given_up.set()
            task.cancel()

    def done(self) -> list[Share]:
        """Those that are restored since the last call."""
        done = [partition for partition, (task, _) in self._tasks.items() if task.done()]
        return [self._tasks.pop(partition)[0].result() for partition in done]

    def close(self) -> None:
        """Give all up."""
        for partition in list(self._tasks):
            self.give_up(partition)

    async def _restore(self, partition: int, given_up: threading.Event) -> Share:
        while True:
            worker = Worker()
            try:
                async with self._turns:
                    return await worker.call(DEADLINE, self._read, partition, given_up)
            except (StateUnreadableError, HangError) as error:
                _log.warning("partition not restored", partition=partition, problem=str(error))
            finally:
                worker.end()
            await asyncio.sleep(PAUSE)

    def _read(self, partition: int, given_up: threading.Event) -> Share:
        """In the worker thread."""
        config = self._config
        found = StateReader(config.kafka, config.group, partition, self._producer, given_up).read()
        return Share(config.kafka, partition, self._make_bank(), found, config.start)
