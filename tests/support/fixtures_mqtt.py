"""Fixtures of MQTT: a broker of its own for every test, as it starts in 20 ms."""

from collections.abc import Callable, Iterator
from pathlib import Path

import mosquitto
import pytest

StartBroker = Callable[..., mosquitto.Mosquitto]


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[StartBroker]:
    """Starts a broker with the configuration given."""
    if not mosquitto.program():
        pytest.skip("mosquitto is missing; on Debian: apt-get install mosquitto")
    started: list[mosquitto.Mosquitto] = []

    def start(config: str = "") -> mosquitto.Mosquitto:
        broker = mosquitto.Mosquitto(tmp_path / f"broker-{len(started)}", config)
        started.append(broker)
        broker.start()
        return broker

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
def broker(start_broker: StartBroker) -> mosquitto.Mosquitto:
    """A broker that anybody may use."""
    return start_broker()
