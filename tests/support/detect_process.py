"""gateway-detect as a real process, for tests."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, Producer, TopicPartition
from detecting import NOON, SECOND
from kafka import KafkaServer

import devices.reading
from gateway.wire import Anomaly, decode_anomaly, encode_reading

DEADLINE: Final = 30.0
RULES: Final = """
[[rules]]
sensor = "temperature"
limits = { high = 80.0 }
"""


class Bench:
    """The topics and the configuration of one gateway-detect, and what goes in and comes out."""

    def __init__(
        self, server: KafkaServer, topic: str, folder: Path, options: str = "", tables: str = RULES
    ) -> None:
        """`options` are those of the Kafka client, `tables` what else is in detect.toml."""
        self.server = server
        self.readings, self.anomalies, self.group = topic, f"{topic}-anomalies", topic
        self.log = folder / "log"
        self.config = folder / "detect.toml"
        self.config.write_text(
            f"""
            group = "{self.group}"
            state_dir = "{folder / "state"}"
            [kafka]
            bootstrap_servers = "{server.bootstrap}"
            readings_topic = "{self.readings}"
            anomalies_topic = "{self.anomalies}"
            status_topic = "{topic}-status"
            state_topic = "{topic}-state"
            commands_topic = "{topic}-commands"
            partitions = 2
            [kafka.options]
            {options}
            [log]
            format = "json"
            {tables}
            """
        )
        self.command = [sys.executable, "-m", "gateway.detect.service"]
        self._producer = Producer({"bootstrap.servers": server.bootstrap, "log_level": 0})
        self._seq = 0

    def send(self, *values: float, device: str = "boiler-7") -> None:
        for value in values:
            self._seq += 1
            at = NOON + self._seq * SECOND
            one = devices.reading.Reading(device, "temperature", value, at, "line", at, "°C")
            self.send_raw(encode_reading(one, "gw-1", "spool-1", self._seq), f"gw-1/{device}")
        self._producer.flush(DEADLINE)

    def send_raw(self, value: bytes | None, key: str = "x") -> None:
        self._producer.produce(self.readings, value, key)

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*self.command, "--config", str(self.config)],
                stderr=log,
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0, self.log.read_text()

    def events(self, name: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == name]

    def said(self) -> list[Anomaly]:
        return [decode_anomaly(record.value() or b"") for record in self.server.read_all(self.anomalies)]

    def logged(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.events("anomaly")) >= count

    def position(self) -> int:
        """How many readings the group has committed, over all partitions."""
        consumer = Consumer({"bootstrap.servers": self.server.bootstrap, "group.id": self.group})
        try:
            found = consumer.committed([TopicPartition(self.readings, each) for each in range(2)], DEADLINE)
            return sum(max(0, partition.offset) for partition in found)
        finally:
            consumer.close()
