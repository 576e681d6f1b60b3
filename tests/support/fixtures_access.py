"""One Kafka with a listener for each way of getting in, for all tests of a run."""

from collections.abc import Iterator

import kafka as kafka_server
import pytest
from secure_kafka import CLIENT, SecureKafka


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """It runs, with its token endpoint; `alice` and CLIENT may do everything."""
    if obstacle := kafka_server.missing():
        pytest.skip(obstacle)
    server = SecureKafka(tmp_path_factory.mktemp("secure-kafka"))
    try:
        server.start()
        for user in ("alice", CLIENT):
            server.add_user(user)
            server.allow_all(user)
        with server.tokens.served():
            yield server
    finally:
        server.stop()
