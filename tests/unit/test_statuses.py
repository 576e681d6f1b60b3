"""What is known of the gateways, and since when: from the records of the status topic as the Kafka client hands them over."""

import time
from typing import Any

import msgspec
import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, TIMESTAMP_NOT_AVAILABLE

from gateway.config import DetectKafka
from gateway.kafka.statuses import BREAK, Sight, Statuses
from gateway.wire import GatewayStatus, encode_gateway_status

MILLISECOND = 1_000_000


class Message:
    """As the client's, which nobody can make."""

    def __init__(self, gateway: str, offset: int, partition: int = 0, at_ms: int = 0, **what: Any) -> None:
        status = GatewayStatus(1, gateway, "0.1.0", 5, "running", "healthy", 4, 10.0)
        self._value: bytes | None = encode_gateway_status(msgspec.structs.replace(status, **what))
        self._gateway, self._offset, self._partition, self._at = gateway, offset, partition, at_ms

    def gone(self) -> "Message":
        self._value = None
        return self

    def garbage(self) -> "Message":
        self._value = b"{}"
        return self

    def key(self) -> bytes:
        return self._gateway.encode()

    def value(self) -> bytes | None:
        return self._value

    def offset(self) -> int:
        return self._offset

    def partition(self) -> int:
        return self._partition

    def timestamp(self) -> tuple[int, int]:
        return (TIMESTAMP_LOG_APPEND_TIME, self._at) if self._at else (TIMESTAMP_NOT_AVAILABLE, 0)


def read(statuses: Statuses, *messages: Message) -> None:
    for message in messages:
        statuses._take(message)  # type: ignore[arg-type] # see there


def sight(statuses: Statuses, at: float, end: int, reached: int) -> Sight | None:
    """As after a look at this time, that found the topic to end there."""
    statuses._sought, statuses._ends = Sight(at, 0.0, {}, 6, {}, {}), {0: end}
    statuses._taken({0: reached})
    return statuses.sight


@pytest.fixture
def statuses() -> Statuses:
    return Statuses(DetectKafka(), "detect")


def test_nothing_is_known_before_all_that_is_there_was_read(statuses: Statuses) -> None:
    read(statuses, Message("pi-7", 1))
    assert sight(statuses, 100.0, end=3, reached=2) is None
    found = sight(statuses, 100.0, end=3, reached=3)
    assert found is not None
    assert (found.at, found.since, list(found.seen)) == (100.0, 100.0, ["pi-7"])


def test_a_break_gives_gateways_time_to_speak_again(statuses: Statuses) -> None:
    looks = (100.0, 100.0 + BREAK, 100.0 + 2 * BREAK, 101.0 + 3 * BREAK)
    since = [found.since for at in looks if (found := sight(statuses, at, 0, 0))]
    assert since == [100.0, 100.0, 100.0, looks[-1]]


def test_the_last_record_of_a_gateway_counts(statuses: Statuses) -> None:
    read(
        statuses, Message("pi-7", 1), Message("pi-7", 2, state="stopped", clock_unset=True, delivered_until=9)
    )
    found = statuses._seen["pi-7"]
    assert (found.place, found.stopped, found.unset, found.until, found.every) == (
        (0, 2),
        True,
        True,
        9,
        10.0,
    )
    read(statuses, Message("pi-7", 3).gone())
    assert statuses._seen == {}


def test_of_two_partitions_the_later_one_counts_by_the_time_of_kafka(statuses: Statuses) -> None:
    read(
        statuses,
        Message("pi-7", 900, 0, at_ms=5000),
        Message("pi-7", 3, 4, at_ms=9000),
        Message("pi-7", 901, 0, at_ms=6000),
    )
    assert statuses._seen["pi-7"].place == (4, 3)
    assert statuses._seen["pi-7"].at == 9000 * MILLISECOND


def test_what_was_there_at_the_start_is_as_old_as_kafka_says(statuses: Statuses) -> None:
    hour_ago = round(1000 * (time.time() - 3600))
    read(statuses, Message("pi-7", 1, at_ms=hour_ago))
    assert statuses._seen["pi-7"].age == pytest.approx(3600, abs=10)
    sight(statuses, 100.0, 0, 0)
    read(statuses, Message("pi-8", 2, at_ms=hour_ago), Message("pi-9", 3))
    assert statuses._seen["pi-8"].age == 0.0, "it came just now, whatever the clocks say"
    assert statuses._seen["pi-9"].at == 5, "without Kafka's time that of the gateway"


@pytest.mark.parametrize("name", ["", "odd/gw+#", "pi 7", "pi-7\n", "x" * 101])
def test_what_no_gateway_is_called_is_no_status(statuses: Statuses, name: str) -> None:
    read(statuses, Message(name, 1))
    assert (statuses.unreadable, statuses._seen) == (1, {})


def test_garbage_is_counted_and_harms_nobody(statuses: Statuses) -> None:
    read(statuses, Message("pi-7", 1), Message("pi-7", 2).garbage())
    assert statuses.unreadable == 1
    assert statuses._seen["pi-7"].place == (0, 1)
