"""What the broker did not acknowledge is not committed. Broker and Kafka are played: neither fails between two lines of code."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from devices.errors import SourceLost
from gateway.config import DetectKafka
from gateway.detect.config import Mqtt
from gateway.detect.publish import MqttPublisher
from gateway.kafka.group import Lot
from gateway.wire import Anomaly, encode_anomaly

RAISED = Anomaly(
    1, "a", "raised", "limits", "alarm", "pi-7", "boiler-7", "temperature", 82.1, "hot", 0, 0, "s", 1
)
CLEARED = msgspec.structs.replace(RAISED, event="cleared", sentence="cool")


class Reader:
    """Brings these records of one partition, and then nothing: the end of the publisher."""

    def __init__(self, publisher: MqttPublisher, *records: bytes) -> None:
        self.committed: list[Mapping[int, int]] = []
        self._publisher = publisher
        self._lots = [
            Lot([], [0], [(0, place, value) for place, value in enumerate(records)], []),
            Lot([], [], [], [0]),
        ]

    def poll(self, within: float) -> Lot:  # noqa: ARG002 - it has all at once
        if len(self._lots) == 1:
            self._publisher._ending.set()
        return self._lots.pop(0)

    def commit(self, offsets: Mapping[int, int]) -> None:
        if offsets:
            self.committed.append(offsets)


class Line:
    def __init__(self, *, broken: bool = False) -> None:
        self.published: list[tuple[str, bytes]] = []
        self._broken = broken

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        if messages and self._broken:
            raise SourceLost("gone")
        self.published += messages


@pytest.fixture
def publisher() -> MqttPublisher:
    return MqttPublisher(Mqtt(broker="b"), DetectKafka(), "detect")


def follow(publisher: MqttPublisher, line: Line, *records: bytes) -> list[Mapping[int, int]]:
    reader = Reader(publisher, *records)
    publisher._ending.clear()
    try:
        publisher._follow(line, reader)  # type: ignore[arg-type] # played
    except SourceLost:
        assert line._broken
    return reader.committed


def test_what_the_broker_did_not_acknowledge_is_not_committed(publisher: MqttPublisher) -> None:
    records = encode_anomaly(RAISED), encode_anomaly(CLEARED)
    assert follow(publisher, Line(broken=True), *records) == []
    line = Line()
    assert follow(publisher, line, *records) == [{0: 2}]
    topics = [topic for topic, _ in line.published]
    assert topics[0] == "anomalies/pi-7/boiler-7/temperature"
    assert b'"state":"ok"' in line.published[0][1]


def test_what_is_open_is_read_again(publisher: MqttPublisher) -> None:
    assert follow(publisher, Line(), encode_anomaly(CLEARED), encode_anomaly(RAISED), b"{}") == [{0: 1}]


def test_a_record_that_is_no_anomaly_is_passed_and_told_once(
    publisher: MqttPublisher, capsys: pytest.CaptureFixture[str]
) -> None:
    assert follow(publisher, Line(), b"{}", b"[", encode_anomaly(CLEARED)) == [{0: 3}]
    assert "".join(capsys.readouterr()).count("anomaly cannot go to mqtt") == 1


def test_names_too_long_for_any_topic_hold_up_nothing(publisher: MqttPublisher) -> None:
    line = Line()
    endless = msgspec.structs.replace(RAISED, device="d" * 70_000)
    assert follow(publisher, line, encode_anomaly(endless), encode_anomaly(CLEARED)) == [{0: 0}]
    assert line.published[0][0] == "anomalies/pi-7/boiler-7/temperature"


def test_home_assistant_is_told_of_a_sensor_once(publisher: MqttPublisher) -> None:
    lines = Line(), Line()
    for line in lines:
        follow(publisher, line, encode_anomaly(RAISED))
    assert [len(line.published) for line in lines] == [2, 1]
    assert lines[0].published[1][0].startswith("homeassistant/binary_sensor/anomaly_")
