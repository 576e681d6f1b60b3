"""The way from spool to Kafka without the rest of the daemon, with a spool that outlives its process.

As a program: `delivering.py BOOTSTRAP RUN` delivers COUNT readings from a spool that remembers its runs but not how far
it was, so that only Kafka knows; it may be killed at any moment and started again with the next RUN.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from devices.reading import Reading
from gateway.clock import Clock
from gateway.config import GatewayConfig, GatewayKafka, Spool
from gateway.forward import Forward
from gateway.heartbeat import Heartbeat
from gateway.kafka.sink import Sink
from gateway.kafka.transactional import TransactionalSink
from gateway.ledger import Ledger
from gateway.spool import Batch
from gateway.spool import Spool as SpoolOnDisk
from gateway.testing_fs import FaultFiles

SPOOL: Final = "0123456789abcdef"
COUNT: Final = 100_000
BATCH: Final = 100
DEVICES: Final = 5


def batch_of(numbers: Iterable[int]) -> Batch:
    """Readings with these numbers for values, of several devices."""
    batch = Batch()
    for n in numbers:
        batch.readings.append(Reading(f"press-{n % DEVICES}", "count", n, n + 1, "line", n + 1))
        batch.counts["line"] += 1
        batch.size += 400
    return batch


class KeptSpool(SpoolOnDisk):
    """A spool as after a restart: it has the id, the runs and the content of before, and an old position."""

    def __init__(self, ledger: Ledger, runs: tuple[str, ...], content: Iterable[Batch] = ()) -> None:
        super().__init__(Spool(memory_bytes=1_000_000_000), ledger, FaultFiles())
        self._kept = SPOOL
        self._runs = runs
        for batch in content:
            ledger.source("line").made += len(batch.readings)
            self.append(batch)

    @property
    def id(self) -> str:
        return self._kept or super().id

    @property
    def run_id(self) -> str:
        return self._runs[-1]

    def knows(self, run: str, epoch: int) -> bool:
        del epoch
        return run in self._runs

    async def begin_lineage(self, reason: str) -> None:
        await super().begin_lineage(reason)
        self._kept = ""


class Delivery:
    """A Forward at work on a spool.

    Attributes:
        spool, ledger, forward: its parts.
        task: running forward.
    """

    def __init__(
        self,
        kafka: GatewayKafka,
        sink: Sink,
        *runs: str,
        content: Iterable[Batch] = (),
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.ledger = Ledger()
        self.ledger.source("line")
        self.spool = KeptSpool(self.ledger, runs, content)
        self.sink = sink
        self.forward = Forward(
            self.spool,
            self.sink,
            self.ledger,
            GatewayConfig({}, kafka=kafka),
            "pi-7",
            clock=Clock(trusted=True),
        )
        self.task = asyncio.ensure_future(self.forward.run(lambda: None, heartbeat))

    def add(self, numbers: Iterable[int]) -> None:
        """Spool these readings as one batch."""
        self.append(batch_of(numbers))

    def append(self, batch: Batch) -> None:
        """Spool this one."""
        self.ledger.source("line").made += len(batch.readings)
        self.spool.append(batch)

    async def delivered(self, within: float = 60.0) -> None:
        """Return when the spool is empty."""
        async with asyncio.timeout(within):
            empty = asyncio.ensure_future(self.spool.empty())
            await asyncio.wait([empty, self.task], return_when=asyncio.FIRST_COMPLETED)
            empty.cancel()
            if self.task.done():
                self.task.result()

    async def end(self, *, in_order: bool = True) -> None:
        """Stop it, with or without its last word."""
        self.task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self.task
        if in_order:
            await self.forward.finish()
        await self.sink.close()

    @property
    def balanced(self) -> bool:
        """Whether the ledger balances."""
        return bool(self.ledger.snapshot(self.spool.depth().in_memory, {})["balanced"])


def exactly_once(
    bootstrap: str, *runs: str, content: Iterable[Batch] = (), options: dict[str, str] | None = None
) -> Delivery:
    """A Delivery by transactions."""
    kafka = GatewayKafka(bootstrap_servers=bootstrap, options={**(options or {})})
    return Delivery(kafka, TransactionalSink(kafka, "pi-7"), *runs, content=content)


@asynccontextmanager
async def delivering(
    bootstrap: str, *runs: str, content: Iterable[Batch] = (), options: dict[str, str] | None = None
) -> AsyncIterator[Delivery]:
    """One that is ended in order, or left as by a crash if the body raises."""
    delivery = exactly_once(bootstrap, *runs, content=content, options=options)
    try:
        yield delivery
    except BaseException:
        await delivery.end(in_order=False)
        raise
    await delivery.end()


async def _main(bootstrap: str, run: int) -> None:
    content = [batch_of(range(first, first + BATCH)) for first in range(0, COUNT, BATCH)]
    runs = tuple(f"run-{n}" for n in range(run + 1))
    async with delivering(bootstrap, *runs, content=content) as delivery:
        await delivery.delivered(120)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
