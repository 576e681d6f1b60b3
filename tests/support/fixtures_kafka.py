"""Fixtures of Kafka: one server for the whole run, or one of its own for a test that breaks it."""

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import kafka as kafka_server
import pytest


@pytest.fixture
def kafka_installed() -> None:
    """Kafka can be started here: for tests that start one of their own."""
    _require_kafka()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka_server.KafkaServer]:
    """One running Kafka for all tests; they keep apart by the names of their topics (`topic`)."""
    yield from _running(tmp_path_factory.mktemp("kafka"))


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[kafka_server.KafkaServer]:
    """A running Kafka for this test alone, which may stop, kill and start it."""
    yield from _running(tmp_path / "kafka")


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A name of a topic that no other test uses. The topic is not made yet."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", request.node.name)[:150]
    return f"{name}-{uuid.uuid4().hex[:8]}"


def _require_kafka() -> None:
    if obstacle := kafka_server.missing():
        if os.environ.get("CI"):
            pytest.fail(obstacle)
        pytest.skip(obstacle)


def _running(folder: Path) -> Iterator[kafka_server.KafkaServer]:
    _require_kafka()
    server = kafka_server.KafkaServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
