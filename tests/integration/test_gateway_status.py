"""The status record of a real gatewayd in a real Kafka."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined] # not in its __all__
from confluent_kafka.cimpl import RESOURCE_TOPIC
from daemon import Daemon
from kafka import KafkaServer
from pty_port import SerialLine
from waiting import wait_until

from gateway import wire


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as one:
        yield one


def gateway(folder: Path, server: KafkaServer, topic: str, line: SerialLine) -> Daemon:
    topics = f'readings_topic = "{topic}"\nstatus_topic = "{topic}-status"\n'
    source = f'[sources.line]\nkind = "serial"\nport = "{line.name}"\n'
    return Daemon(folder / "gw", server.bootstrap, source, topics)


def deliver_one(daemon: Daemon, line: SerialLine) -> None:
    wait_until(lambda: daemon.state("line") == "connected", "the port")
    line.write(b"count=1\n")
    wait_until(lambda: daemon.delivered("line") == 1, "the reading in Kafka")


def test_a_gateway_tells_kafka_how_it_is_how_far_it_delivered_and_that_it_stopped(
    kafka: KafkaServer, topic: str, tmp_path: Path, line: SerialLine
) -> None:
    with gateway(tmp_path, kafka, topic, line) as daemon:
        deliver_one(daemon, line)
        daemon.stop()

    found = kafka.read_all(f"{topic}-status")
    assert {record.key() for record in found} == {b"pi-7"}
    first, *_, last = [wire.decode_gateway_status(record.value() or b"") for record in found]
    assert (first.state, last.state) == ("running", "stopped")
    [reading] = [wire.decode_reading(record.value() or b"") for record in kafka.read_all(topic)]
    assert first.delivered_until <= reading.received < last.delivered_until <= last.time
    assert cleanup_policy(kafka, f"{topic}-status") == "compact"


def test_readings_go_on_where_kafka_refuses_the_status(
    kafka: KafkaServer, topic: str, tmp_path: Path, line: SerialLine
) -> None:
    kafka.create_topic(f"{topic}-status", max__message__bytes="150")  # room for the markers of transactions
    with gateway(tmp_path, kafka, topic, line) as daemon:
        deliver_one(daemon, line)
        [said] = daemon.events("gateway status refused by kafka")
        daemon.stop()

    assert said["topic"] == f"{topic}-status"
    assert kafka.read_all(f"{topic}-status") == []
    assert len(kafka.read_all(topic)) == 1


def cleanup_policy(server: KafkaServer, topic: str) -> str:
    resource = ConfigResource(RESOURCE_TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": server.bootstrap})
    return str(admin.describe_configs([resource])[resource].result(10)["cleanup.policy"].value)
