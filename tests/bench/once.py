"""What exactly-once delivery costs: the same work both ways, in turns, from the spool's memory to Kafka."""

import asyncio
import time
from statistics import median
from typing import Final

from delivering import BATCH, Delivery, batch_of
from figures import Figure, say
from gatewayd import WITHIN, Bench

from gateway.config import GatewayKafka
from gateway.kafka.idempotent import IdempotentSink
from gateway.kafka.sink import Sink
from gateway.kafka.transactional import TransactionalSink

PAIRS: Final = 5
READINGS: Final = 100_000


def exactly_once(bench: Bench) -> list[Figure]:
    """Batches of 100 as fast as they go; the ratio is the median of those of the pairs."""
    bench.server.create_topic("once", partitions=6)
    config = GatewayKafka(bootstrap_servers=bench.server.bootstrap, readings_topic="once")
    once, again = [], []
    asyncio.run(_rate(config, TransactionalSink(config, "pi-7"), "cold"))  # servers warm up with this
    for pair in range(PAIRS):
        say(f"exactly-once: pair {pair + 1} of {PAIRS}")
        once.append(asyncio.run(_rate(config, TransactionalSink(config, "pi-7"), f"once-{pair}")))
        again.append(asyncio.run(_rate(config, IdempotentSink(config, "pi-7"), f"again-{pair}")))
    ratios = [one / other for one, other in zip(once, again, strict=True)]
    return [
        Figure("from spool to Kafka, exactly once: readings", median(once), "/s"),
        Figure("from spool to Kafka, at least once: readings", median(again), "/s"),
        Figure("exactly once against at least once: ratio of the rates", median(ratios), ""),
        Figure("the same, the lowest of the pairs", min(ratios), ""),
        Figure("the same, the highest of the pairs", max(ratios), ""),
    ]


async def _rate(config: GatewayKafka, sink: Sink, run: str) -> float:
    """Readings per second, once the first are through."""
    delivery = Delivery(config, sink, run)
    delivery.add(range(BATCH))
    await delivery.delivered(WITHIN)
    batches = [batch_of(range(first, first + BATCH)) for first in range(0, READINGS, BATCH)]
    began = time.monotonic()
    for batch in batches:
        delivery.append(batch)
    await delivery.delivered(WITHIN)
    took = time.monotonic() - began
    await delivery.end()
    return READINGS / took
