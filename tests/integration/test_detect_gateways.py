"""A real gateway that dies, and a device that falls silent, as the real gateway-detect finds them in a real Kafka."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import hasty
import pytest
from daemon import Daemon
from detect_process import Bench
from kafka import KafkaServer
from pty_port import SerialLine
from waiting import wait_until

from gateway.wire import Anomaly

LIVELY = Path(__file__).parents[1] / "support" / "lively.py"

until = partial(wait_until, within=60.0)


class Detector(Bench):
    """In a hurry."""

    def __init__(self, server: KafkaServer, topic: str, folder: Path) -> None:
        super().__init__(server, topic, folder, tables="[[rules]]\nsilence = { after = 4.0 }")
        self.command = [sys.executable, hasty.__file__]

    def of(self, rule: str) -> list[Anomaly]:
        return [one for one in self.said() if one.rule == rule and one.event != "updated"]

    def says(self, rule: str, *events: str) -> bool:
        return [one.event for one in self.of(rule)] == [*events]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as one:
        yield one


def test_a_gateway_that_dies_is_one_anomaly_whoever_looks_and_a_silent_device_is_another(
    kafka: KafkaServer, topic: str, tmp_path: Path, line: SerialLine
) -> None:
    for name in (topic, f"{topic}-anomalies"):
        kafka.create_topic(name, partitions=2)
    topics = f'readings_topic = "{topic}"\nstatus_topic = "{topic}-status"\n'
    source = f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n'
    gateway = Daemon(tmp_path / "gw", kafka.bootstrap, source, topics)
    gateway.prefix = [sys.executable, str(LIVELY)]
    detector = Detector(kafka, topic, tmp_path)
    with gateway:
        until(lambda: gateway.state("line") == "connected", "the port")
        line.write(b"count=1\n")
        with detector.running() as process:
            until(lambda: detector.says("silence", "raised"), "the device alone in its partition")
            gateway.kill()
            until(lambda: detector.says("gateway-silence", "raised"), "the silence of the gateway")
            process.kill()
        assert detector.says("silence", "raised")
        with detector.running() as process:
            until(lambda: len(detector.events("partition restored")) == 4, "both partitions a second time")
            gateway.start()
            until(lambda: detector.says("gateway-silence", "raised", "cleared"), "the gateway")
            line.write(b"count=2\n")
            until(lambda: detector.says("silence", "raised", "cleared"), "the device")
            detector.stop(process)
        gateway.stop()

    raised, cleared = detector.of("gateway-silence")
    assert (raised.gateway, raised.device, raised.id) == ("pi-7", "", cleared.id)
    assert raised.score > 12
    assert cleared.sentence.startswith("gateway pi-7 is back after")
    [silent, back] = detector.of("silence")
    assert (silent.device, silent.sensor, silent.id) == ("line", "count", back.id)
