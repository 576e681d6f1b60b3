"""A topic that is read whole, in a thread of its own."""

from contextlib import closing

import pytest
from confluent_kafka import Message, Producer
from waiting import wait_until

from gateway.config import DetectKafka
from gateway.kafka.embedded import EmbeddedKafka
from gateway.kafka.whole import WholeTopic


def test_a_defect_that_ends_the_thread_is_told_to_whoever_lives_on_what_it_reads() -> None:
    def take(message: Message) -> None:
        raise LookupError(message.value())

    with EmbeddedKafka("commands") as kafka:
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        producer.produce("commands", b"unforeseen")
        assert not producer.flush(10)
        config = DetectKafka(bootstrap_servers=kafka.bootstrap_servers)
        with closing(WholeTopic(config, "commands", "reader", take)) as topic:
            topic.check()
            topic.start()
            wait_until(lambda: topic._failure, "the thread's end")
            with pytest.raises(LookupError, match="unforeseen"):
                topic.check()
