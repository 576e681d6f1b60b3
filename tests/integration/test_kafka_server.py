"""The Kafka of the tests keeps what the other tests rely on."""

import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from kafka import KafkaServer


def produce(server: KafkaServer, topic: str, values: list[bytes], *, commit: bool = True) -> None:
    producer = Producer(
        {"bootstrap.servers": server.bootstrap, "transactional.id": uuid.uuid4().hex, "log_level": 3}
    )
    producer.init_transactions(10)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value)
    producer.flush(10)
    if commit:
        producer.commit_transaction(10)
    else:
        producer.abort_transaction(10)


def test_only_committed_records_are_read(kafka: KafkaServer, topic: str) -> None:
    kafka.create_topic(topic, partitions=3)
    produce(kafka, topic, [b"aborted"], commit=False)
    produce(kafka, topic, [b"a", b"b"])

    assert sorted(record.value() or b"" for record in kafka.read_all(topic)) == [b"a", b"b"]


def test_an_empty_topic_reads_as_nothing(kafka: KafkaServer, topic: str) -> None:
    kafka.create_topic(topic)

    assert kafka.read_all(topic) == []


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_it_comes_back_at_the_same_address_with_its_data(
    own_kafka: KafkaServer, topic: str, how: str
) -> None:
    own_kafka.create_topic(topic)
    produce(own_kafka, topic, [b"before"])
    address = own_kafka.bootstrap

    getattr(own_kafka, how)()
    own_kafka.start()
    produce(own_kafka, topic, [b"after"])

    assert own_kafka.bootstrap == address
    assert [record.value() for record in own_kafka.read_all(topic)] == [b"before", b"after"]


@pytest.mark.usefixtures("kafka_installed")
def test_it_takes_settings(tmp_path: Path) -> None:
    server = KafkaServer(tmp_path, num__partitions="3", auto__create__topics__enable="true")
    server.start()
    try:
        produce(server, "made-by-writing", [b"x"])

        admin = AdminClient({"bootstrap.servers": server.bootstrap})
        assert len(admin.list_topics("made-by-writing", 10).topics["made-by-writing"].partitions) == 3
    finally:
        server.stop()


@pytest.mark.usefixtures("kafka_installed")
def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = KafkaServer(tmp_path, log__dirs="/proc/nowhere")

    with pytest.raises(RuntimeError, match="/proc/nowhere"):
        server.start()
