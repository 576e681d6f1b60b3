"""The real gateway-detect between the topics of a real Kafka."""

import time
from functools import partial
from pathlib import Path

import pytest
from detect_process import DEADLINE, Bench
from detecting import noise
from kafka import KafkaServer
from waiting import wait_until

CLEARED_AGAIN = ["raised", "cleared"]

until = partial(wait_until, within=DEADLINE)


@pytest.fixture
def bench(kafka: KafkaServer, topic: str, tmp_path: Path) -> Bench:
    return Bench(kafka, topic, tmp_path)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_an_anomaly_appears_once_raised_and_once_cleared(
    kafka: KafkaServer, topic: str, tmp_path: Path, protocol: str
) -> None:
    bench = Bench(kafka, topic, tmp_path, f'"group.protocol" = "{protocol}"')
    kafka.create_topic(topic, partitions=2)
    with bench.running() as process:
        bench.send(*[70.0 + one for one in noise(70, mean=0.0)])
        bench.send(82.1, 83.0, 83.5, 83.0, *[70.0] * 5)
        until(bench.logged(4), "four anomaly events in the log")
        bench.stop(process)

    said = bench.said()
    assert [one.event for one in said if one.rule == "limits"] == CLEARED_AGAIN
    assert [one.event for one in said if one.rule == "spike"] == CLEARED_AGAIN
    limits = [one for one in said if one.rule == "limits"]
    assert limits[0].sentence == "82.1 °C is above the high limit 80 °C"
    assert limits[1].sentence == "back at 70 °C below 79.2 °C after 4.0 s; highest 83.5 °C"
    assert limits[0].id == limits[1].id
    keys = {record.key() for record in kafka.read_all(bench.anomalies)}
    assert keys == {b"gw-1/boiler-7"}
    assert [one["level"] for one in bench.events("anomaly")] == ["warning", "warning", "info", "info"]
    assert {one["device"] for one in bench.events("anomaly")} == {"boiler-7"}


def test_after_a_stop_it_continues_where_it_stopped(bench: Bench) -> None:
    bench.server.create_topic(bench.readings, partitions=2)
    with bench.running() as process:
        bench.send(99.0, 70.0)
        until(bench.logged(2), "the first anomaly")
        bench.stop(process)
    assert bench.position() == 2
    bench.send(98.0, 70.0)
    with bench.running() as process:
        until(bench.logged(4), "the second anomaly")
        bench.stop(process)

    assert [(one.event, one.value) for one in bench.said()] == [
        ("raised", 99.0),
        ("cleared", 70.0),
        ("raised", 98.0),
        ("cleared", 70.0),
    ]
    assert [one["judged"] for one in bench.events("stopped")] == [2, 2]


def test_after_a_kill_nothing_is_missing_and_what_comes_twice_has_the_same_id(bench: Bench) -> None:
    bench.server.create_topic(bench.readings, partitions=2)
    with bench.running() as process:
        bench.send(99.0, 70.0)
        until(bench.logged(2), "the first anomaly")
        process.kill()
    bench.send(98.0, 70.0)
    with bench.running() as process:
        until(bench.logged(4), "the second anomaly")
        bench.stop(process)

    stories: dict[str, list[str]] = {}
    for one in bench.said():
        stories.setdefault(one.id, []).append(one.event)
    assert len(stories) == 2
    assert all(set(story) == {"raised", "cleared"} for story in stories.values())


def test_garbage_is_counted_said_once_and_stops_nothing(bench: Bench) -> None:
    bench.server.create_topic(bench.readings, partitions=2)
    with bench.running() as process:
        for value in (b"\xff\xfe secret", b"{}", b"", None, b"[" * 100_000, b'{"v":1,"value":NaN}'):
            bench.send_raw(value)
        bench.send(99.0, 70.0)
        until(bench.logged(2), "the anomaly after the garbage")
        bench.stop(process)

    complaints = bench.events("record is no reading")
    assert {one["level"] for one in complaints} == {"warning"}
    assert len(complaints) + sum(int(str(one.get("and_more", 0))) for one in complaints) == 6
    assert "secret" not in bench.log.read_text()
    assert [one["unreadable"] for one in bench.events("stopped")] == [6]
    assert [one.event for one in bench.said()] == CLEARED_AGAIN


def test_it_outlives_kafka(own_kafka: KafkaServer, topic: str, tmp_path: Path) -> None:
    bench = Bench(own_kafka, topic, tmp_path)
    own_kafka.stop()
    with bench.running() as process:
        until(lambda: bool(bench.events("kafka unreachable")), "the word that Kafka is away at the start")
        own_kafka.start()
        until(lambda: bool(bench.events("kafka reachable")), "the word that it is there")
        bench.send(99.0)
        until(bench.logged(1), "the anomaly raised")
        own_kafka.stop()
        until(lambda: len(bench.events("kafka unreachable")) > 1, "the word that Kafka is away")
        own_kafka.start()
        bench.send(70.0)
        until(bench.logged(2), "the anomaly cleared")
        until(lambda: len(bench.events("kafka reachable")) > 1, "the word that it is back")
        assert process.poll() is None
        bench.stop(process)

    assert [one.event for one in bench.said()] == CLEARED_AGAIN
    assert len({one.id for one in bench.said()}) == 1
    assert len(bench.events("kafka unreachable")) == len(bench.events("kafka reachable")) == 2
    assert bench.position() == 2


def test_it_stops_in_time_while_kafka_is_away(own_kafka: KafkaServer, topic: str, tmp_path: Path) -> None:
    bench = Bench(own_kafka, topic, tmp_path)
    own_kafka.create_topic(topic, partitions=2)
    with bench.running() as process:
        bench.send(99.0)
        until(bench.logged(1), "the anomaly")
        own_kafka.kill()
        until(lambda: bool(bench.events("kafka unreachable")), "the word that Kafka is away")
        asked = time.monotonic()
        bench.stop(process)

    assert time.monotonic() - asked < 15


def test_two_processes_of_a_group_share_the_devices(bench: Bench) -> None:
    bench.server.create_topic(bench.readings, partitions=2)
    names = [f"boiler-{number}" for number in range(8)]
    with bench.running() as first, bench.running() as second:
        until(lambda: len(bench.events("started")) == 2, "both started")
        for name in names:
            bench.send(99.0, device=name)
            bench.send(70.0, device=name)
        until(lambda: {one["device"] for one in bench.events("anomaly")} == set(names), "all devices")
        until(bench.logged(16), "all cleared")
        bench.stop(first)
        bench.stop(second)

    stories: dict[str, list[str]] = {}
    for one in bench.said():
        stories.setdefault(one.device, []).append(one.event)
    assert set(stories) == set(names)
    assert all(story[0] == "raised" and story[-1] == "cleared" for story in stories.values())
