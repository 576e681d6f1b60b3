"""Anomalies first, then the state, then the position: at least once, for brokers without transactions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import structlog

from gateway.config import DetectKafka
from gateway.kafka.client import Record
from gateway.kafka.idempotent import IdempotentSink
from gateway.kafka.outlet import Part, Written
from gateway.kafka.sink import MAX_RECORDS, Link
from gateway.kafka.state_topic import ensure_detect_topics

_log = structlog.get_logger()

PAUSE: Final = 0.5
"""Seconds between two attempts at what Kafka did not take."""


class AtLeastOnceOutlet:
    """An Outlet (see there). A crash between anomalies and position lets the same anomalies be written again.

    They have the same ids. A row of the state is never in Kafka before what was said on the way to it.
    """

    def __init__(
        self, config: DetectKafka, group: str, commit: Callable[[Mapping[int, int]], Awaitable[str]]
    ) -> None:
        """`commit` tells the group the position, and returns why that failed, if it did. Connects to nothing yet.

        Raises:
            ConfigError: the client refuses a property in `config.options`.
        """
        self.name = ""
        self._config = config
        self._group = group
        self._commit = commit
        self._sink = IdempotentSink(config, group)
        self._closing = asyncio.Event()

    @property
    def link(self) -> Link:
        """See Outlet."""
        return self._sink.link

    async def resume(self, attempt_done: Callable[[], None]) -> bool:
        """See Outlet."""
        await self._sink.prepare(partial(ensure_detect_topics, self._config, self._group))
        attempt_done()
        return False

    async def write(self, parts: Sequence[Part], group: Any, attempt_done: Callable[[], None]) -> Written:  # noqa: ARG002 - commit() has it of its own
        """See Outlet."""
        refused: list[tuple[Record, str]] = []
        said = [record for part in parts for record in part.said]
        rows = [record for part in parts for record in part.rows]
        for records in (said, rows):
            for first in range(0, len(records), MAX_RECORDS):
                if trouble := await self._send(records[first : first + MAX_RECORDS], refused, attempt_done):
                    return Written(settled=False, refused=refused, trouble=trouble)
        if trouble := await self._commit({part.partition: part.offset for part in parts}):
            _log.warning("position not committed", problem=trouble)
        return Written(settled=True, refused=refused, trouble="")

    async def idle(self) -> None:
        """See Outlet."""
        await self._sink.idle()

    async def close(self) -> None:
        """See Outlet."""
        self._closing.set()
        await self._sink.close()

    async def _send(
        self, records: Sequence[Record], refused: list[tuple[Record, str]], attempt_done: Callable[[], None]
    ) -> str:
        """Until Kafka has all or refused them; returns why not, after close()."""
        while True:
            sent = await self._sink.send(records, None, attempt_done)
            refused += sent.refused
            records = sent.pending
            if not records:
                return ""
            try:
                async with asyncio.timeout(PAUSE):
                    await self._closing.wait()
            except TimeoutError:
                continue
            return sent.trouble
