"""Three Kafka brokers that keep three copies of everything, two of them at least, and a controller apart from them.

The controller is a node of its own so that any broker, and all of them together, may be killed.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic
from kafka import ANSWER_DEADLINE, KafkaServer, free_ports, shared_classes
from kafka_requests import RequestWatch
from proxy import Proxy
from waiting import wait_until

BROKERS: Final = 3
CONTROLLER: Final = 100
HEAP: Final = "-Xmx256m"

TOGETHER: Final = 180.0
"""Seconds that three brokers may take to start at once, on a busy machine."""

COPIES: Final = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
}


class KafkaCluster:
    """Brokers that clients reach in two ways: directly, and through a proxy each. Use as a context manager.

    Attributes:
        brokers: each may be killed, frozen and started again.
        proxies: the way to each broker, for those who use `far`.
        watches: what sees the requests that pass each proxy.
        near: host:port of each broker, for clients that no cut concerns.
        far: likewise, through the proxies.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is started yet; the data will be in `folder`."""
        voter, *ports = free_ports(1 + 3 * BROKERS)
        java = (HEAP, f"-XX:SharedArchiveFile={shared_classes()}")
        controllers = f"{CONTROLLER}@127.0.0.1:{voter}"
        self._controller = KafkaServer(
            folder / "controller",
            java,
            process__roles="controller",
            node__id=str(CONTROLLER),
            listeners=f"CONTROLLER://127.0.0.1:{voter}",
            controller__quorum__voters=controllers,
        )
        self.brokers: list[KafkaServer] = []
        self.proxies: list[Proxy] = []
        self.watches: list[RequestWatch] = []
        for number in range(BROKERS):
            near, far, behind = ports[3 * number : 3 * number + 3]
            broker = KafkaServer(
                folder / f"broker-{number + 1}",
                java,
                process__roles="broker",
                node__id=str(number + 1),
                listeners=f"PLAINTEXT://127.0.0.1:{near},FAR://127.0.0.1:{behind}",
                advertised__listeners=f"PLAINTEXT://127.0.0.1:{near},FAR://127.0.0.1:{far}",
                listener__security__protocol__map="PLAINTEXT:PLAINTEXT,FAR:PLAINTEXT,CONTROLLER:PLAINTEXT",
                inter__broker__listener__name="PLAINTEXT",
                controller__quorum__voters=controllers,
                **{name.replace(".", "__"): value for name, value in COPIES.items()},
            )
            broker.bootstrap = f"127.0.0.1:{near}"
            self.brokers.append(broker)
            watch = RequestWatch()
            self.watches.append(watch)
            self.proxies.append(Proxy(far, behind, watch.connection))
        self.near = ",".join(broker.bootstrap for broker in self.brokers)
        self.far = ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in (self._controller, *self.brokers):
                stack.callback(server.stop)
            for proxy in self.proxies:
                stack.enter_context(proxy)
            with ThreadPoolExecutor() as threads:
                list(threads.map(KafkaServer.launch, [self._controller, *self.brokers]))
            for broker in self.brokers:
                broker.await_answer(TOGETHER)
            wait_until(lambda: self._registered() == BROKERS, "all brokers to know each other", TOGETHER)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for broker in self.brokers:
            broker.kill()  # in order it would take a minute, and nobody reads this data again
        self._controller.kill()
        self._stack.close()

    def create_topics(self, names: Sequence[str], partitions: int, **config: str) -> None:
        """Make topics with three copies; on return they can be written."""
        settings = {key.replace("__", "."): value for key, value in config.items()}
        admin = AdminClient({"bootstrap.servers": self.near})
        topics = [NewTopic(name, partitions, BROKERS, config=settings) for name in names]
        for made in admin.create_topics(topics, operation_timeout=ANSWER_DEADLINE).values():
            made.result(ANSWER_DEADLINE)

    def ends(self, topic: str) -> dict[int, int]:
        """The end of each partition that has anything: the offset behind its last committed record."""
        admin = AdminClient({"bootstrap.servers": self.near, "log_level": 0})
        partitions = admin.list_topics(topic, ANSWER_DEADLINE).topics[topic].partitions
        newest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        latest = {TopicPartition(topic, number): newest for number in partitions}
        found = admin.list_offsets(latest, isolation_level=IsolationLevel.READ_COMMITTED)
        ends = {place.partition: done.result(ANSWER_DEADLINE).offset for place, done in found.items()}
        return {partition: end for partition, end in ends.items() if end > 0}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """How far a consumer group is in each partition of a topic; without those where it has not said so."""
        admin = AdminClient({"bootstrap.servers": self.near, "log_level": 0})
        [asked] = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
        places = asked.result(ANSWER_DEADLINE).topic_partitions
        return {one.partition: one.offset for one in places if one.topic == topic and one.offset >= 0}

    def start(self, brokers: Sequence[KafkaServer]) -> None:
        """Start these together; on return they answer."""
        for broker in brokers:
            broker.launch()
        for broker in brokers:
            broker.await_answer(TOGETHER)

    def _registered(self) -> int:
        try:
            admin = AdminClient({"bootstrap.servers": self.near, "log_level": 0})
            return len(admin.list_topics(timeout=2).brokers)
        except KafkaException:
            return 0
