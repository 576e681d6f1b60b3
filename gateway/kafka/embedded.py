"""A Kafka broker inside this process, for the demo and for trying things: no Java, no download, nothing left behind."""

from types import TracebackType
from typing import Final, Self

from confluent_kafka import Producer

_PATIENCE: Final = 10.0
"""Seconds to wait for the broker; it takes milliseconds."""


class EmbeddedKafka:
    """librdkafka's mock cluster: one broker on a free loopback port, which other processes reach as any Kafka.

    Use as a context manager. The topics exist from the beginning, with four partitions each, as does any other topic
    from its first use. What is written can be read, consumer groups share partitions and commit offsets.

    What it cannot do: it keeps nothing when closed; keeps the newest 5 MB or 100,000 records of a partition and drops
    older ones without a word, read or not; has no administration (create_topics must be off) and no real
    transactions (aborted records are visible, offsets sent with a transaction are lost). A consumer should set
    `group.protocol=consumer`: with the classic protocol a member that has left lingers until its session times out.
    It is no place for data that matters.

    Attributes:
        bootstrap_servers: host:port for clients; valid while the context is open.

    Raises:
        RuntimeError: on entering; the broker did not start.
    """

    def __init__(self, *topics: str) -> None:
        self.bootstrap_servers = ""
        self._topics = topics
        self._cluster: Producer | None = None

    def __enter__(self) -> Self:
        # The cluster lives in a client, and as long as it; 1 broker: the list of several may come in bit by bit.
        cluster = Producer({"test.mock.num.brokers": 1, "log_level": 4})
        brokers = cluster.list_topics(timeout=_PATIENCE).brokers.values()
        if not brokers:
            cluster.close()
            raise RuntimeError("the embedded Kafka did not start: its client knows of no broker")
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        for topic in self._topics:
            cluster.list_topics(topic, timeout=_PATIENCE)  # asking for a topic makes it
        self._cluster = cluster
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None
