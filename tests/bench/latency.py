"""From publication to visibility: what a consumer of committed records waits for a reading."""

import subprocess
import time
from typing import Final

from confluent_kafka import Consumer, TopicPartition
from figures import Figure
from gatewayd import WITHIN, Bench, connected, pacer

from gateway.wire import decode_reading

RATE: Final = 1000
SECONDS: Final = 10
SETTLED: Final = 1
"""Seconds at the start that do not count: connections are made, caches filled."""


def latency(bench: Bench) -> list[Figure]:
    """Publish at a steady pace, and see when each reading comes out of Kafka."""
    with bench.daemon("latency") as daemon:
        connected(daemon)
        consumer = Consumer(
            {
                "bootstrap.servers": bench.server.bootstrap,
                "group.id": "latency",
                "isolation.level": "read_committed",
            }
        )
        partitions = consumer.list_topics("latency", 10).topics["latency"].partitions
        consumer.assign([TopicPartition("latency", partition, 0) for partition in partitions])
        with subprocess.Popen(pacer(bench.broker.port, RATE, SECONDS)):
            taken = sorted(waits(consumer, RATE * SECONDS)[RATE * SETTLED :])
        consumer.close()
        daemon.stop()
    return [
        Figure(f"{RATE:,}/s: publication until visible in Kafka, p50", percentile(taken, 50), "ms"),
        Figure(f"{RATE:,}/s: publication until visible in Kafka, p99", percentile(taken, 99), "ms"),
    ]


def waits(consumer: Consumer, count: int, within: float = WITHIN) -> list[float]:
    """Milliseconds that each of so many readings took, by the clock of their publisher, as they come."""
    taken: list[float] = []
    deadline = time.monotonic() + within
    while len(taken) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(taken)} of {count} readings within {within:g} s")
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            seen = time.time_ns()
            taken.append((seen - decode_reading(message.value() or b"").time) / 1e6)
    return taken


def percentile(ordered: list[float], percent: int) -> float:
    """Of values in their order."""
    return ordered[len(ordered) * percent // 100]
