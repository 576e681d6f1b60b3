"""gateway-detect under measurement: a topic full of readings, and one anomaly at its end."""

import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

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

READINGS: Final = 800_000
SENSORS: Final = 10_000
MANY: Final = 100_000
LIMIT: Final = 1000.0
"""Only the last reading of each portion is above it: its anomaly says that everything before was judged."""

SECOND: Final = 1_000_000_000
NOON: Final = 1_767_355_200 * SECOND
CONFIG: Final = """
state_dir = "{folder}"
group = "{group}"
max_sensors = 100000
snapshot_every = 3.0 # twenty times as often as usual, so that one is in it
[kafka]
bootstrap_servers = "{bootstrap}"
readings_topic = "{group}"
anomalies_topic = "{group}-said"
state_topic = "{group}-state"
[kafka.options]
"session.timeout.ms" = 45000 # it is held still while its work is laid out
[log]
format = "json"
[[rules]]
limits = {{ high = {limit} }}
"""


def detector(bench: Bench) -> list[Figure]:
    """All rules, on one reading a second of each of 10,000 sensors; and how soon the state is there after a restart."""
    say(f"detector: {READINGS:,} readings of {SENSORS:,} sensors")
    plant = _Plant(bench, "judged")
    with _running(plant.command, bench.folder / "detect.log") as process:
        plant.produce(1, SENSORS, SENSORS)
        plant.await_anomaly(SENSORS)  # it has its partition, and knows the sensors
        with frozen(process.pid):
            plant.produce(SENSORS + 1, READINGS, SENSORS)
            cpu, began, rows = cpu_seconds(process.pid), time.monotonic(), plant.rows()
        plant.await_anomaly(SENSORS + READINGS)
        seconds, cost = time.monotonic() - began, cpu_seconds(process.pid) - cpu
        rows = plant.rows() - rows
        memory, _ = resident(process.pid)
    few = plant.restored()
    say(f"detector: state of {MANY:,} sensors")
    crowd = _Plant(bench, "crowd")
    with _running(crowd.command, bench.folder / "crowd.log") as process:
        crowd.produce(1, MANY, MANY)
        crowd.await_anomaly(MANY)
        process.terminate()
        process.wait(WITHIN)  # with a snapshot
    many = crowd.restored()
    return [
        *_bank(),
        Figure("gateway-detect: processor time per reading", cost / READINGS * 1e6, "us"),
        Figure("gateway-detect: readings, with snapshots", READINGS / seconds, "/s", aim=150_000, least=True),
        Figure("gateway-detect: rows of snapshots meanwhile", rows, ""),
        Figure("gateway-detect: resident memory", memory, "MB"),
        Figure("gateway-detect: start and restore of 10,000 sensors", few.seconds, "s"),
        Figure("gateway-detect: processor time for that", few.cpu, "s"),
        Figure("gateway-detect: start and restore of 100,000 sensors", many.seconds, "s"),
        Figure("gateway-detect: processor time for that", many.cpu, "s"),
        Figure("gateway-detect: resident memory with 100,000 sensors", many.memory, "MB"),
    ]


class _Restored(NamedTuple):
    seconds: float
    cpu: float
    memory: float


class _Plant:
    """A topic of readings, and a gateway-detect for it that says something of the last of each portion only."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bootstrap, self._name, self._folder = bench.server.bootstrap, name, bench.folder
        for topic in (name, f"{name}-said", f"{name}-state"):
            bench.server.create_topic(topic)
        config = bench.folder / f"{name}.toml"
        config.write_text(
            CONFIG.format(bootstrap=self._bootstrap, limit=LIMIT, folder=bench.folder, group=name)
        )
        self.command: list[str | Path] = [COMMANDS / "gateway-detect", "--config", config]
        self._said = Consumer({"bootstrap.servers": self._bootstrap, "group.id": f"{name}-said"})
        self._said.assign([TopicPartition(f"{name}-said", 0, 0)])

    def produce(self, first: int, count: int, sensors: int) -> None:
        """Readings numbered from `first` on; the last one is above the limit."""
        producer = Producer(
            {"bootstrap.servers": self._bootstrap, "compression.type": "zstd", "linger.ms": 50}
        )
        generator = random.Random(first)
        last = first + count - 1
        for seq in range(first, last + 1):
            device, at = f"boiler-{seq % sensors}", NOON + seq // sensors * SECOND
            value = generator.gauss(21.0, 0.4) if seq < last else 2 * LIMIT
            record = encode_reading(
                devices.reading.Reading(device, "temperature", value, at, "plant", at), "pi-7", "spool-1", seq
            )
            while True:
                try:
                    producer.produce(self._name, record, f"pi-7/{device}")
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush()

    def await_anomaly(self, seq: int) -> None:
        """Wait until something was said of the reading with this number."""
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            message = self._said.poll(0.1)
            if (
                message is not None
                and message.error() is None
                and decode_anomaly(message.value() or b"").seq == seq
            ):
                return
        raise RuntimeError(f"gateway-detect said nothing within {WITHIN:g} s")

    def rows(self) -> int:
        """Records of its state until now, and of the transactions around them."""
        _, end = self._said.get_watermark_offsets(TopicPartition(f"{self._name}-state", 0), timeout=10)
        return int(end)

    def restored(self) -> _Restored:
        """Start it again, until it has its state."""
        log = self._folder / f"{self._name}-again.log"
        began = time.monotonic()
        with _running(self.command, log) as process:
            wait_until(lambda: "partition restored" in log.read_text(), "the state", WITHIN)
            memory, _ = resident(process.pid)
            return _Restored(time.monotonic() - began, cpu_seconds(process.pid), memory)


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
