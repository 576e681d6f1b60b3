"""Reading back goes on after an error of the cluster, and gives every record once."""

import pytest
from confluent_kafka import KafkaError, Producer
from mock_kafka import FETCH, LIST_OFFSETS, MockKafka, mock_kafka

from gateway.config import DetectKafka
from gateway.kafka.readback import Readback, ReadbackError


def write(cluster: MockKafka, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
    for value in values:
        producer.produce("anomalies", value)
    assert not producer.flush(10)


@pytest.mark.parametrize(("request_", "times"), [(LIST_OFFSETS, 2), (FETCH, 1)])  # it asks for both ends
def test_after_an_error_it_goes_on_behind_what_it_has_given(request_: int, times: int) -> None:
    given: list[bytes | None] = []

    def read(turns: int = 1) -> None:
        for _ in range(turns):
            readback.more()
            for lot in readback.lots():
                given.extend(value for *_, value in lot)

    with mock_kafka() as cluster:
        cluster.create_topic("anomalies")
        write(cluster, b"1", b"2")
        readback = Readback(DetectKafka(bootstrap_servers=cluster.bootstrap), ["anomalies"])
        try:
            read()
            write(cluster, b"3")
            cluster.fail(request_, *[KafkaError.TOPIC_AUTHORIZATION_FAILED] * times)
            with pytest.raises(ReadbackError):
                read(100)
            write(cluster, b"4")
            read()
        finally:
            readback.close()
    assert given == [b"1", b"2", b"3", b"4"]
