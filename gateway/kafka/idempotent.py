"""At least once: an idempotent producer, for brokers without transactions."""

import asyncio
from collections.abc import Callable, Sequence

from gateway.config import Kafka
from gateway.kafka.client import Record
from gateway.kafka.outcomes import Step
from gateway.kafka.producing import Producing
from gateway.kafka.sink import Link, Sent
from gateway.position import Position


class IdempotentSink:
    """A Sink (see there). Within the life of its producer each record is written once and in order per partition.

    What a crash, or a producer made anew, left unacknowledged is sent again, and may then be there twice. It keeps no
    position in Kafka, so it never raises PositionUnknownError.
    """

    def __init__(self, config: Kafka, client_id: str) -> None:
        """Connects to nothing yet.

        Raises:
            ConfigError: the client refuses a property in `config.options`.
        """
        # 0: a timeout would turn an outage into gaps.
        self._producing = Producing(config, client_id, {"message.timeout.ms": 0})
        self._sending = asyncio.Lock()

    @property
    def link(self) -> Link:
        """See Sink."""
        return self._producing.reach.link

    async def resume(self, topics: Sequence[str], attempt_done: Callable[[], None]) -> Position | None:
        """See Sink."""
        await self._producing.call(self._producing.ensure_topics, topics)
        attempt_done()
        return None

    async def prepare(self, work: Callable[[], None]) -> None:
        """Do what needs an answer of the cluster, in a thread of its own.

        Raises:
            KafkaUnavailableError: it gave none.
        """
        await self._producing.call(self._producing.prepare, work)

    async def send(
        self,
        records: Sequence[Record],
        position: Position | None,  # noqa: ARG002 - the port has it; nowhere to keep it here
        attempt_done: Callable[[], None],
    ) -> Sent:
        """See Sink."""
        async with self._sending:
            return await self._send(list(records), attempt_done)

    async def idle(self) -> None:
        """See Sink."""
        await self._producing.idle()

    async def close(self) -> None:
        """See Sink."""
        self._producing.reach.over = True
        async with self._sending:
            await self._producing.close()

    async def _send(self, records: list[Record], attempt_done: Callable[[], None]) -> Sent:
        """Kafka refuses whole requests: so what was refused together is halved until the culprits are alone."""
        groups, refused, delivered = [records], [], 0
        while groups:
            tally = await self._producing.produce(groups.pop(0), attempt_done)
            delivered += tally.delivered
            if Step.REBUILD in tally.steps:
                await self._producing.call(self._producing.give_up, tally.trouble)
            if len(tally.suspects) == 1:
                refused += tally.suspects
            elif tally.suspects:
                suspects = [record for record, _ in tally.suspects]
                middle = len(suspects) // 2
                groups[:0] = [suspects[:middle], suspects[middle:]]
            if tally.pending:
                trouble = tally.trouble or "not acknowledged before the gateway stopped"
                self._producing.reach.note(reachable=False, trouble=trouble)
                pending = tally.pending + [record for group in groups for record in group]
                return Sent(delivered, refused, pending, trouble)
        return Sent(delivered, refused, [], "")
