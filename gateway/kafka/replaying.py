"""Writes what became of dead letters: readings and marks, in transactions of their own."""

from collections.abc import Sequence

from gateway.config import Kafka
from gateway.kafka.client import Record
from gateway.kafka.sink import Sent
from gateway.kafka.transactions import Offsets, Transactions


def replay_id(gateway: str) -> str:
    """The transactional id under which the dead letters of this gateway are replayed."""
    return f"gateway-replay-{gateway}"


class Replaying:
    """Used from one event loop. Whoever makes another one for the same gateway ends the transactions of this one."""

    def __init__(self, config: Kafka, gateway: str) -> None:
        """`gateway` is its id. Connects to nothing yet.

        Raises:
            ConfigError: the client refuses a property in `config.options`.
        """
        name = replay_id(gateway)
        self._transactions = Transactions(config, name, name)

    async def begin(self) -> None:
        """End what an earlier replay left open: after it nothing becomes visible that was written before.

        Comes before the first write(), and after every PositionUnknownError.

        Raises:
            KafkaUnavailableError: not now; try again.
        """
        await self._transactions.resume(lambda: None, lambda: None, lambda: None)

    async def write(self, records: Sequence[Record]) -> Sent:
        """Write them in one transaction: Kafka has all of them on return, or none. See Sink.send.

        Raises:
            PositionUnknownError: they may be in Kafka or not.
        """
        return await self._transactions.send(records, lambda: Offsets([], None), lambda: None)

    async def close(self) -> None:
        """End the producer."""
        await self._transactions.close()
