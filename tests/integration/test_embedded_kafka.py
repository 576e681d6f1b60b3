import json
import socket
import subprocess
import sys
import time

import pytest
from confluent_kafka import Consumer

from gateway.config import Kafka
from gateway.kafka.client import Record
from gateway.kafka.embedded import EmbeddedKafka
from gateway.kafka.follow import Follower

WRITE = """
import sys
from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1], "enable.idempotence": True})
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    producer.produce("readings", key=b"pi-7/boiler-7", value=b"%d" % number)
assert producer.flush(10) == 0
"""


def write_elsewhere(servers: str, first: int, last: int) -> None:
    subprocess.run([sys.executable, "-c", WRITE, servers, str(first), str(last)], check=True, timeout=30)


def consumer_of(servers: str) -> Consumer:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "readers",
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["readings"])
    return consumer


def read(consumer: Consumer, enough: int) -> list[int]:
    """The numbers in the next records, once there are enough of them; fewer if they take longer than 20 s."""
    numbers: list[int] = []
    deadline = time.monotonic() + 20
    while len(numbers) < enough and time.monotonic() < deadline:
        for message in consumer.consume(1000, timeout=0.1):
            assert message.error() is None, message.error()
            numbers.append(json.loads(message.value() or b""))
    return numbers


def test_what_another_process_writes_is_read_in_order_and_remembered_as_read() -> None:
    with EmbeddedKafka("readings") as kafka:
        write_elsewhere(kafka.bootstrap_servers, 0, 1000)
        consumer = consumer_of(kafka.bootstrap_servers)
        assert read(consumer, 1000) == list(range(1000))
        consumer.commit(asynchronous=False)
        consumer.close()

        write_elsewhere(kafka.bootstrap_servers, 1000, 1001)
        consumer = consumer_of(kafka.bootstrap_servers)
        assert read(consumer, 1) == [1000]
        consumer.close()


def test_a_consumer_may_come_before_the_first_record() -> None:
    with EmbeddedKafka("readings") as kafka:
        consumer = consumer_of(kafka.bootstrap_servers)
        assert consumer.consume(1, timeout=0.5) == []
        write_elsewhere(kafka.bootstrap_servers, 0, 10)
        assert read(consumer, 10) == list(range(10))
        consumer.close()


def test_a_follower_sees_all_records_and_how_far_a_group_is_behind_without_joining_it() -> None:
    with EmbeddedKafka("readings") as kafka:
        follower = Follower(Kafka(bootstrap_servers=kafka.bootstrap_servers), ["readings"], "readers")
        assert (follower.poll(0.1), follower.behind(), follower.group_behind("readings")) == ([], 0, 0)

        write_elsewhere(kafka.bootstrap_servers, 0, 10)
        assert (follower.behind(), follower.group_behind("readings")) == (10, 10)

        records: list[Record] = []
        while follower.behind():
            records += follower.poll(0.1)
        assert records == [Record("readings", b"pi-7/boiler-7", b"%d" % number) for number in range(10)]

        consumer = consumer_of(kafka.bootstrap_servers)
        assert read(consumer, 10) == list(range(10))
        assert follower.group_behind("readings") == 10
        consumer.commit(asynchronous=False)
        assert follower.group_behind("readings") == 0
        consumer.close()
        follower.close()


def test_nothing_listens_any_more_once_it_is_closed() -> None:
    with EmbeddedKafka() as kafka:
        host, port = kafka.bootstrap_servers.split(":")
        assert host == "127.0.0.1"
        socket.create_connection((host, int(port)), timeout=5).close()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
