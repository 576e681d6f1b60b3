"""A place where a fault is prepared for `gatewayctl doctor`, and the servers that it may need."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import mosquitto
import pytest
from doctoring import (
    Place,
    guarded_kafka,
    said,
)
from fixtures_kafka import _require_kafka
from fixtures_mqtt import StartBroker
from kafka import KafkaServer

from gateway.cli.doctor.finding import Finding

ROOT = Path("/")
SIZED = "max_queued_messages 100000\nmax_inflight_messages 2000"
TOPICS = {"dead-letters": "delete", "gateway-status": "compact"}


class Kafkas(NamedTuple):
    """One Kafka: the server, whom all may use at its bootstrap, and the address where users need rights."""

    server: KafkaServer
    guarded: str


class Bench(NamedTuple):
    """A place for a fault, and the servers that it may need."""

    place: Place
    request: pytest.FixtureRequest

    @property
    def kafka(self) -> Kafkas:
        found: Kafkas = self.request.getfixturevalue("kafkas")
        return found

    def broker(self, config: str = SIZED) -> mosquitto.Mosquitto:
        start: StartBroker = self.request.getfixturevalue("start_broker")
        return start(config)


@pytest.fixture(scope="session")
def kafkas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafkas]:
    _require_kafka()
    server, guarded = guarded_kafka(tmp_path_factory.mktemp("guarded"))
    try:
        server.start()
        for name, policy in TOPICS.items():
            server.create_topic(name, cleanup__policy=policy, message__timestamp__type="LogAppendTime")
        server.create_topic("readings", message__timestamp__type="LogAppendTime")
        yield Kafkas(server, guarded)
    finally:
        server.stop()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Bench]:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("GATEWAY_SOCKET", raising=False)
    with ExitStack() as stack:
        yield Bench(Place(tmp_path, stack), request)


def plant(port: int, more: str = "") -> str:
    return f'[sources.plant]\nkind = "mqtt"\nbroker = "127.0.0.1"\nport = {port}\ntopics = ["plant/{{device}}/{{sensor}}"]\n{more}\n'


def line(port: object) -> str:
    return f'[sources.line]\nkind = "serial"\nport = "{port}"\n'


# Each prepares one fault, and returns what says the findings: again after the fix, where that is done.
Say = Callable[[], Sequence[Finding]]


def configured(
    bench: Bench, group: str, text: str, bootstrap: str = "127.0.0.1:9", root: Path | None = ROOT
) -> Say:
    bench.place.configure(text, bootstrap)
    return lambda: said(bench.place.here(root), group)
