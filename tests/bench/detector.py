"""gateway-detect under measurement: a topic full of readings, and one anomaly at its end."""

import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, Producer, TopicPartition
from daemon import COMMANDS
from figures import Figure, say
from gatewayd import WITHIN, Bench
from process import cpu_seconds, frozen, resident
from waiting import wait_until

import devices.reading
from gateway.detect.bank import Bank
from gateway.detect.config import DetectConfig
from gateway.wire import VERSION, Arrival, Reading, decode_anomaly, encode_reading

READINGS: Final = 400_000
SENSORS: Final = 10_000
LIMIT: Final = 1000.0
"""Only the last reading of each portion is above it: its anomaly says that everything before was judged."""

SECOND: Final = 1_000_000_000
NOON: Final = 1_767_355_200 * SECOND
CONFIG: Final = """
state_dir = "{folder}"
[kafka]
bootstrap_servers = "{bootstrap}"
readings_topic = "judged"
anomalies_topic = "said"
[kafka.options]
"session.timeout.ms" = 45000 # it is held still while its work is laid out
[log]
format = "json"
[[rules]]
limits = {{ high = {limit} }}
"""


def detector(bench: Bench) -> list[Figure]:
    """All rules, on one reading a second of each of 10,000 sensors; and how soon their state is there after a restart."""
    bootstrap = bench.server.bootstrap
    for topic in ("judged", "said"):
        bench.server.create_topic(topic)
    config = bench.folder / "detect.toml"
    config.write_text(CONFIG.format(bootstrap=bootstrap, limit=LIMIT, folder=bench.folder))
    said = Consumer({"bootstrap.servers": bootstrap, "group.id": "said"})
    said.assign([TopicPartition("said", 0, 0)])
    say(f"detector: {READINGS:,} readings")
    command: list[str | Path] = [COMMANDS / "gateway-detect", "--config", config]
    with _running(command, bench.folder / "detect.log") as process:
        _produce(bootstrap, 1, SENSORS)
        _await_anomaly(said, SENSORS)  # it has its partition, and knows the sensors
        with frozen(process.pid):
            _produce(bootstrap, SENSORS + 1, READINGS)
            cpu, began = cpu_seconds(process.pid), time.monotonic()
        _await_anomaly(said, SENSORS + READINGS)
        seconds, cost = time.monotonic() - began, cpu_seconds(process.pid) - cpu
        memory, _ = resident(process.pid)
    log = bench.folder / "again.log"
    with _running(command, log) as process:
        wait_until(lambda: "partition restored" in log.read_text(), "the state", WITHIN)
        restored = cpu_seconds(process.pid)
    said.close()
    return [
        *_bank(),
        Figure("gateway-detect: processor time per reading", cost / READINGS * 1e6, "us"),
        Figure("gateway-detect: readings", READINGS / seconds, "/s"),
        Figure("gateway-detect: resident memory", memory, "MB"),
        Figure("gateway-detect: processor time to start and restore 10,000 sensors", restored, "s"),
    ]


@contextmanager
def _running(command: Sequence[str | Path], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is stopped in order at the end."""
    with log.open("wb") as file, subprocess.Popen(command, stderr=file) as process:
        try:
            yield process
        finally:
            process.terminate()


def _bank() -> list[Figure]:
    """Without Kafka: polls of 5,000 readings of 10,000, 200 and 4 sensors, after a warm-up."""
    figures, size = [], 0
    for sensors in (10_000, 200, 4):
        bank, polls = Bank(DetectConfig()), _polls(sensors, count=100 * max(sensors, 1000))
        half = len(polls) // 2
        for poll in polls[:half]:
            bank.judge(poll)
        began = time.process_time()
        for poll in polls[half:]:
            bank.judge(poll)
        cost = (time.process_time() - began) / sum(map(len, polls[half:]))
        figures.append(Figure(f"detect: judging, {sensors} sensors", cost * 1e6, "us"))
        size = max(len(key) + len(value) for key, value in bank.snapshot(sensors))
    return [*figures, Figure("detect: snapshot of a sensor", size, "bytes")]


def _polls(sensors: int, count: int, most: int = 5000) -> list[list[Arrival]]:
    generator = random.Random(sensors)
    arrivals = []
    for offset in range(count):
        device, at = f"boiler-{offset % sensors}", NOON + offset // sensors * SECOND
        value = round(generator.gauss(21.0, 0.4), 2)
        reading = Reading(VERSION, "pi-7", "spool-1", offset, "plant", device, "temperature", at, at, value)
        arrivals.append(Arrival(offset, None, reading))
    return [arrivals[place : place + most] for place in range(0, count, most)]


def _produce(bootstrap: str, first: int, count: int) -> None:
    """Readings numbered from `first` on; the last one is above the limit."""
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "zstd", "linger.ms": 50})
    generator = random.Random(first)
    last = first + count - 1
    for seq in range(first, last + 1):
        device, at = f"boiler-{seq % SENSORS}", NOON + seq // SENSORS * SECOND
        value = generator.gauss(21.0, 0.4) if seq < last else 2 * LIMIT
        record = encode_reading(
            devices.reading.Reading(device, "temperature", value, at, "plant", at), "pi-7", "spool-1", seq
        )
        while True:
            try:
                producer.produce("judged", record, f"pi-7/{device}")
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def _await_anomaly(said: Consumer, seq: int) -> None:
    """Wait until something was said of the reading with this number."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        message = said.poll(0.1)
        if (
            message is not None
            and message.error() is None
            and decode_anomaly(message.value() or b"").seq == seq
        ):
            return
    raise RuntimeError(f"gateway-detect said nothing within {WITHIN:g} s")
