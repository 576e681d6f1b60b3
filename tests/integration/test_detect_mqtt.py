"""Anomalies at a real mosquitto, by the real gateway-detect with a real Kafka."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from detect_process import RULES, Bench
from kafka import KafkaServer
from mosquitto import HOST, Mosquitto, password_file
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from waiting import wait_until

from gateway.detect.retained import Names, discovery_topic

until = partial(wait_until, within=40.0)
TOPIC = "anomalies/gw-1/boiler-7/temperature"


class MqttBench(Bench):
    """And a broker."""

    def __init__(
        self, server: KafkaServer, topic: str, folder: Path, broker: Mosquitto, more: str = ""
    ) -> None:
        mqtt = f'[mqtt]\nbroker = "127.0.0.1"\nport = {broker.port}\n{more}\n'
        super().__init__(server, topic, folder, tables=mqtt + RULES)
        self.broker = broker
        for name in (topic, self.anomalies):
            server.create_topic(name, partitions=2)

    def at_broker(self, topic: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.broker.retained(topic) or b"{}")
        return found

    def shows(self, state: str, sentence: str = "") -> None:
        def found() -> bool:
            there = self.at_broker(TOPIC)
            return there.get("state") == state and sentence in there["sentence"]

        until(found, f"the state {state} at the broker")


@pytest.fixture
def bench(kafka: KafkaServer, topic: str, tmp_path: Path, broker: Mosquitto) -> MqttBench:
    return MqttBench(kafka, topic, tmp_path, broker)


def test_what_is_raised_and_cleared_stands_at_the_broker_over_outages_and_restarts(bench: MqttBench) -> None:
    broker = bench.broker
    with bench.running() as process:
        bench.send(82.1)
        bench.shows("problem", "82.1 °C is above the high limit 80 °C")
        [found] = bench.at_broker(TOPIC)["anomalies"]
        assert (found["rule"], found["value"], found["high"]) == ("limits", 82.1, 80.0)
        assert broker.retained("anomalies/availability") == b"online"
        config = bench.at_broker(discovery_topic("homeassistant", Names("gw-1", "boiler-7", "temperature")))
        assert (config["device_class"], config["state_topic"]) == ("problem", TOPIC)
        broker.kill()
        bench.send(70.0)
        until(bench.logged(2), "what is said while the broker is away")
        until(lambda: bool(bench.events("anomalies do not reach mqtt")), "the word of it")
        broker.start()
        bench.shows("ok", "back at 70 °C")
        process.kill()  # its will speaks for it
        until(lambda: broker.retained("anomalies/availability") == b"offline", "the will")
    broker.stop()
    with bench.running() as process:
        bench.send(99.0)
        until(bench.logged(3), "what is said and never published by this process")
        process.kill()
    broker.start()
    with bench.running() as process:
        bench.shows("problem", "99 °C")
        assert broker.retained("anomalies/availability") == b"online"
        bench.stop(process)
    assert broker.retained("anomalies/availability") == b"offline"
    assert bench.at_broker(TOPIC)["state"] == "problem"
    assert len(bench.events("anomalies do not reach mqtt")) == 2


def test_a_broker_that_wants_a_password_gets_it(
    kafka: KafkaServer, topic: str, tmp_path: Path, start_broker: Any
) -> None:
    users = tmp_path / "users"
    password_file(users, "detect", "s3cret")
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    broker = start_broker(f"per_listener_settings false\nallow_anonymous false\npassword_file {users}")
    access = f'username = "detect"\npassword_file = "{secret}"'
    bench = MqttBench(kafka, topic, tmp_path, broker, access)
    with bench.running() as process:
        bench.send(82.1)
        until(lambda: bool(bench.events("anomalies reach mqtt")), "the broker lets it in")
        bench.stop(process)
    assert bench.events("anomalies do not reach mqtt") == []


def test_while_one_of_two_processes_lives_the_sensors_are_available(bench: MqttBench) -> None:
    heard: list[bytes] = []
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.append(bytes(message.payload))
    client.connect(HOST, bench.broker.port)
    client.subscribe("anomalies/availability", qos=1)
    client.loop_start()
    try:
        with bench.running() as first, bench.running() as second:
            until(lambda: heard == [b"online", b"online"], "both")
            first.kill()
            until(lambda: heard[2:] == [b"offline", b"online"], "the will of one, and the word of the other")
            bench.send(82.1)
            bench.shows("problem")
            bench.stop(second)
        assert bench.broker.retained("anomalies/availability") == b"offline"
    finally:
        client.disconnect()
        client.loop_stop()
