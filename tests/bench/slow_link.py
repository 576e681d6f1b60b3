"""gatewayd on a link with a quarter of a second of latency: it must not write every batch to its card."""

import subprocess
import time
from typing import Final

from confluent_kafka import Consumer, TopicPartition
from far import far_kafka
from figures import Figure, say
from gatewayd import WITHIN, Bench, pacer
from latency import RATE, percentile, waits
from process import resident
from waiting import wait_until
from witness import Witness

DELAY: Final = 0.125
"""Seconds each way."""

SECONDS: Final = 40
SETTLED: Final = 10
"""Seconds at the start that are counted apart: Kafka is being asked, and how long it takes is not known yet."""


def slow_link(bench: Bench) -> list[Figure]:
    """A steady stream over each version of MQTT."""
    figures = []
    with far_kafka(bench.folder / "far") as far:
        far.proxy.delay = DELAY
        there = Bench(bench.folder, bench.broker, far.server)
        for version in ('"3.1.1"', "5"):
            figures += _carry(there, far.bootstrap, version)
    return figures


def _carry(bench: Bench, bootstrap: str, version: str) -> list[Figure]:
    name = f"slow-link-{version.strip(chr(34))}"
    say(name)
    with (
        bench.daemon(name, version, bootstrap) as daemon,
        Witness(bench.folder / name / "state" / "spool", bench.folder / f"{name}-aside") as witness,
    ):
        wait_until(lambda: daemon.state("plant") == "connected", "the MQTT session")  # but not for Kafka
        consumer = Consumer({"bootstrap.servers": bench.server.bootstrap, "group.id": name})
        consumer.assign([TopicPartition(name, partition, 0) for partition in range(6)])
        total, began = RATE * SECONDS, time.monotonic()
        with subprocess.Popen(pacer(bench.broker.port, RATE, SECONDS)):
            taken = waits(consumer, total, WITHIN + SECONDS)
        seconds = time.monotonic() - began
        consumer.close()
        _, peak = resident(daemon.pid)
        daemon.stop()
    early = RATE * SETTLED
    late = sorted(taken[early:])
    frames = witness.spilled()
    first = sum(max(0, min(end, early) - start + 1) for start, end in frames)
    rest = sum(max(0, end - max(start, early + 1) + 1) for start, end in frames)
    what = f"link with {2000 * DELAY:.0f} ms, {RATE:,}/s, MQTT {version.strip(chr(34))}"
    return [
        Figure(f"{what}: written to disk in the first {SETTLED} s", 100 * first / early, "%"),
        Figure(f"{what}: written to disk after that", 100 * rest / (total - early), "%", 10),
        Figure(f"{what}: until visible, p50", percentile(late, 50) / 1000, "s"),
        Figure(f"{what}: until visible, p99", percentile(late, 99) / 1000, "s"),
        Figure(f"{what}: readings", total / seconds, "/s"),
        Figure(f"{what}: resident memory, the most", peak, "MB", 60),
    ]
