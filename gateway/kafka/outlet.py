"""The port between detection and Kafka: what was judged goes out, and up to where the readings are dealt with."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from gateway.kafka.client import Record
from gateway.kafka.sink import Link

MOST_ROWS: Final = 2_000
"""Rows of state in one transaction at most: some 2 MB, so that anomalies do not wait long behind them."""


class Part(NamedTuple):
    """What is to be written for one partition of the readings.

    Attributes:
        partition: its number.
        offset: up to where its readings are dealt with once this is written.
        said: records of the anomalies topic.
        rows: records of the state topic.
    """

    partition: int
    offset: int
    said: Sequence[Record]
    rows: Sequence[Record]


class Written(NamedTuple):
    """What became of the parts of one write().

    Attributes:
        settled: whether they are dealt with: written, but for what Kafka refuses for good.
        refused: records that it refuses for good, each with the reason; when not settled, do without them.
        trouble: why they are not settled though nothing was refused.
    """

    settled: bool
    refused: Sequence[tuple[Record, str]]
    trouble: str


class Outlet(Protocol):
    """Used from one event loop; calls must not overlap, but for close().

    Attributes:
        name: the transactional id; empty if there are no transactions.
        link: what is known of the way to Kafka.
    """

    @property
    def name(self) -> str:
        """See above."""
        ...

    @property
    def link(self) -> Link:
        """See above."""
        ...

    async def resume(self, attempt_done: Callable[[], None]) -> bool:
        """Make ready to write. Returns whether the last write(), if it left that open, is settled after all.

        Comes before the first write(), and after every PositionUnknownError. Makes topics where that is allowed.

        Raises:
            KafkaUnavailableError: not now; try again.
            StateTopicError: see there.
        """
        ...

    async def write(self, parts: Sequence[Part], group: Any, attempt_done: Callable[[], None]) -> Written:
        """Write these parts, each whole or not at all, and in the name of a member of the consumer group.

        `group` is the metadata of the group: if a partition was given to another member since, nothing is written.
        After close() it returns soon.

        Raises:
            PositionUnknownError: whether they are written is not known; call resume().
        """
        ...

    async def idle(self) -> None:
        """Let the client report what it saw while there is nothing to write."""
        ...

    async def close(self) -> None:
        """End the client; what was not acknowledged is given up."""
        ...
