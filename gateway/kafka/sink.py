"""The port between forward and Kafka: what a sink promises, whichever way it delivers."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from gateway.kafka.client import Record
from gateway.position import Position

MAX_RECORDS: Final = 5_000
"""Records that one send() may carry: half of the client's own queue, which is kept small as the spool is the buffer.
With 10,000 the whole gateway takes 5 MB more, and is no faster."""


class Sent(NamedTuple):
    """What became of the records of one send().

    Attributes:
        delivered: how many Kafka acknowledged by all in-sync replicas.
        refused: records that Kafka refuses for good, each with the reason.
        pending: the others; send them again, in this order.
        trouble: why there are pending ones though nothing was refused, as a sentence.
    """

    delivered: int
    refused: list[tuple[Record, str]]
    pending: list[Record]
    trouble: str


class Link(NamedTuple):
    """What is known of the way to Kafka.

    Attributes:
        reachable: None until something was learnt.
        since: when that was learnt, in seconds of the monotonic clock.
        trouble: why it is not reachable, with what to do; empty if it is.
    """

    reachable: bool | None
    since: float
    trouble: str


class PositionUnknownError(Exception):
    """What was sent may be in Kafka or not: call resume() before the next send(). The text says what happened."""


class Sink(Protocol):
    """Delivers records to Kafka. Used from one event loop; calls must not overlap, but for close().

    What waits for Kafka runs in a thread of the sink. A call that is cancelled may still do its work: resume() then.

    Attributes:
        link: what is known of the way to Kafka.
    """

    @property
    def link(self) -> Link:
        """See above."""
        ...

    async def resume(self, topics: Sequence[str], attempt_done: Callable[[], None]) -> Position | None:
        """Make ready to send, and say where Kafka stopped; None if it does not know.

        Comes before the first send(), and after every PositionUnknownError. Nothing sent earlier becomes visible after
        it. `topics` are made where the configuration allows it.

        Raises:
            KafkaUnavailableError: not now; try again.
        """
        ...

    async def send(
        self, records: Sequence[Record], position: Position, attempt_done: Callable[[], None]
    ) -> Sent:
        """Write up to MAX_RECORDS records, and `position` with them once all are acknowledged.

        Durable on return: the delivered ones, at every in-sync replica. `attempt_done` is called whenever the client
        came back with or without an answer, at least every quarter of a minute. After close() it returns soon.

        Raises:
            PositionUnknownError: see there.
        """
        ...

    async def idle(self) -> None:
        """Let the client report what it saw while there is nothing to send."""
        ...

    async def close(self) -> None:
        """Give up what is in the client's queue and end it. The spool still has it."""
        ...
