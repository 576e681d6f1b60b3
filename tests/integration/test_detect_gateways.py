"""A real gateway that dies, and a device that falls silent, as the real gateway-detect finds them in a real Kafka."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import hasty
import pytest
from daemon import Daemon
from kafka import KafkaServer
from pty_port import SerialLine
from waiting import wait_until

from gateway.wire import Anomaly, decode_anomaly

until = partial(wait_until, within=60.0)


class Detector:
    """gateway-detect in a hurry, of which each start has a log of its own."""

    def __init__(self, server: KafkaServer, topic: str, folder: Path) -> None:
        self._server, self._said, self._folder = server, f"{topic}-anomalies", folder
        self._config = folder / "detect.toml"
        self._config.write_text(
            f"""
            group = "{topic}"
            state_dir = "{folder / "detect"}"
            [kafka]
            bootstrap_servers = "{server.bootstrap}"
            readings_topic = "{topic}"
            anomalies_topic = "{self._said}"
            status_topic = "{topic}-status"
            state_topic = "{topic}-state"
            commands_topic = "{topic}-commands"
            partitions = 6
            [log]
            format = "json"
            [[rules]]
            silence = {{ after = 4.0 }}
            """
        )

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        with (self._folder / "detect.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, hasty.__file__, "--config", str(self._config)],
                stderr=log,
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def said(self, rule: str) -> list[Anomaly]:
        found = [decode_anomaly(record.value() or b"") for record in self._server.read_all(self._said)]
        return [one for one in found if one.rule == rule and one.event != "updated"]

    def says(self, rule: str, *events: str) -> bool:
        return [one.event for one in self.said(rule)] == [*events]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as one:
        yield one


def test_a_gateway_that_dies_is_one_anomaly_whoever_looks_and_a_silent_device_is_another(
    kafka: KafkaServer, topic: str, tmp_path: Path, line: SerialLine
) -> None:
    kafka.create_topic(f"{topic}-anomalies", partitions=1)
    topics = f'readings_topic = "{topic}"\nstatus_topic = "{topic}-status"\n'
    source = f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n'
    gateway = Daemon(tmp_path / "gw", kafka.bootstrap, source, topics)
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
            until(
                lambda: (tmp_path / "detect.log").read_text().count("partition restored") == 12,
                "all partitions a second time",
            )
            gateway.start()
            until(lambda: detector.says("gateway-silence", "raised", "cleared"), "the gateway")
            line.write(b"count=2\n")
            until(lambda: detector.says("silence", "raised", "cleared"), "the device")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20.0) == 0
        gateway.stop()

    raised, cleared = detector.said("gateway-silence")
    assert (raised.gateway, raised.device, raised.id) == ("pi-7", "", cleared.id)
    assert raised.score > 12
    assert cleared.sentence.startswith("gateway pi-7 is back after")
    [silent, back] = detector.said("silence")
    assert (silent.device, silent.sensor, silent.id) == ("line", "count", back.id)
