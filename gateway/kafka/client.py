"""What every Kafka client here shares: the record, the properties, and the topics made at start."""

from typing import NamedTuple

from gateway.config import Kafka


class Record(NamedTuple):
    """One record to be written: topic, key (None: any partition) and value."""

    topic: str
    key: bytes | None
    value: bytes


def properties(config: Kafka, client_id: str) -> dict[str, str | int | float | bool]:
    """Properties common to all clients; `config.options` win over everything set here."""
    return {
        "bootstrap.servers": config.bootstrap_servers,
        "client.id": client_id,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 10_000,
        **config.options,
    }
