"""What gateway-detect has learnt outlives its processes, and moves between them, on a real Kafka."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from counting import LAYOUT, CountingBank
from detect_judge import Expected, Judge, Reader
from detect_member import COUNTING, Member, Names
from kafka import KafkaServer
from waiting import wait_until

import devices.reading
from gateway.config import DetectKafka
from gateway.kafka import state_topic
from gateway.wire import VERSION, Command, decode_anomaly, encode_command, encode_reading

PARTITIONS = 3
DEVICES = 12
SECOND = 1_000_000_000
NOON = 1_767_355_200 * SECOND


class Group:
    """The topics of a test, processes of one group, and a judge of what they write."""

    def __init__(self, server: KafkaServer, names: Names, folder: Path, settings: str = "") -> None:
        self.server = server
        self.names = names
        self.members = [
            Member(folder / f"{n}", server.bootstrap, names, COUNTING, settings) for n in range(2)
        ]
        self._producer = Producer(
            {"bootstrap.servers": server.bootstrap, "partitioner": "murmur2_random", "linger.ms": 5}
        )
        self._sent = 0

    def make_topics(self, **state: str) -> None:
        for topic in (self.names.readings, self.names.anomalies):
            self.server.create_topic(topic, PARTITIONS)
        if state:
            self.server.create_topic(self.names.state, PARTITIONS, **state)

    def send(self, count: int) -> None:
        for _ in range(count):
            self._sent += 1
            device, at = f"device-{self._sent % DEVICES}", NOON + self._sent * SECOND // 20
            reading = devices.reading.Reading(device, "level", self._sent / 7, at, "line", at)
            record = encode_reading(reading, "gw-1", "spool-1", self._sent)
            self._producer.produce(self.names.readings, record, f"gw-1/{device}")
        self._producer.flush(30)

    def command(self, one: str, verb: str = "ack") -> None:
        command = msgspec.convert(
            {"v": VERSION, "id": one, "verb": verb, "by": "me", "time": time.time_ns()}, Command
        )
        self._producer.produce(self.names.commands, encode_command(command), one)
        self._producer.flush(30)

    def row(self, partition: int, key: bytes, value: bytes) -> None:
        """Write this into the state topic."""
        self._producer.produce(self.names.state, value, key, partition)
        self._producer.flush(30)

    def rows(self) -> Mapping[tuple[int, bytes], bytes]:
        """The latest of each, by partition and key."""
        reader = Reader(self.server.bootstrap, self.names.state, PARTITIONS)
        rows = {(one.partition() or 0, one.key() or b""): one.value() or b"" for one in reader.drain()}
        reader.close()
        return rows

    def judged(self) -> None:
        """Wait until all that was sent is spoken of as it should be."""
        expected = Expected(self.server.bootstrap, PARTITIONS, self.names, CountingBank)
        judge = Judge(self.server.bootstrap, PARTITIONS, self.names, expected)
        try:
            wait_until(lambda: not judge.take().missing, "the anomalies", 60)
            assert not judge.verdict.differences
        finally:
            judge.close()
            expected.close()

    def said(self, event: str = "raised") -> list[str]:
        """Ids of the anomalies of which this was said, in no order."""
        found = [decode_anomaly(one.value() or b"") for one in self.server.read_all(self.names.anomalies)]
        return [one.id for one in found if one.rule == "count" and one.event == event]


@pytest.fixture
def group(kafka: KafkaServer, topic: str, tmp_path: Path) -> Iterator[Group]:
    group = Group(kafka, Names.of(topic), tmp_path)
    yield group
    for member in group.members:
        member.thaw()
        member.kill()


def test_a_process_that_was_stopped_goes_on_where_it_was_and_reads_nothing_again(group: Group) -> None:
    group.make_topics()
    first, second = group.members
    first.start()
    group.send(500)
    group.judged()
    first.stop()
    second.start()
    group.send(500)
    group.judged()
    second.stop()

    restored = second.events("partition restored")
    assert sum(one["sensors"] for one in restored) == DEVICES
    assert [one["replays"] for one in restored] == [0] * PARTITIONS


def test_a_zombie_writes_nothing_when_it_goes_on(group: Group) -> None:
    group.make_topics()
    zombie, other = group.members
    zombie.start()
    group.send(700)
    group.judged()
    other.start()
    wait_until(lambda: other.events("partition restored"), "the other to have something", 30)
    group.send(10_000)  # it is in the midst of these
    zombie.freeze()
    group.send(700)
    group.judged()
    began = len(zombie.events("partition restored"))

    zombie.thaw()
    wait_until(lambda: zombie.events("partition handed over"), "the zombie to learn that it is late", 30)
    wait_until(lambda: len(zombie.events("partition restored")) > began, "it to be given something anew", 30)
    group.send(700)
    group.judged()
    zombie.stop()
    other.stop()


def test_a_row_that_is_damaged_or_of_another_version_costs_its_sensor_only(group: Group) -> None:
    group.make_topics()
    first, second = group.members
    first.start()
    group.send(500)
    group.judged()
    first.stop()
    rows = [(partition, key) for partition, key in group.rows() if key]
    assert len(rows) == DEVICES
    group.row(*rows[0], b"\x00damaged")
    group.row(*rows[1], msgspec.msgpack.encode({"layout": LAYOUT + 1}))
    second.start()
    wait_until(lambda: len(second.events("partition restored")) == PARTITIONS, "the state", 30)
    second.stop()

    assert sum(one["unusable"] for one in second.events("partition restored")) == 2
    assert sum(one["sensors"] for one in second.events("partition restored")) == DEVICES - 2
    assert {one["level"] for one in second.events("state of a sensor cannot be used")} == {"warning"}


def test_readings_that_retention_removed_before_they_were_judged_are_said_and_passed(group: Group) -> None:
    group.make_topics()
    first, second = group.members
    first.start()
    group.send(500)
    group.judged()
    first.kill()
    group.send(500)
    admin = AdminClient({"bootstrap.servers": group.server.bootstrap})
    places = [TopicPartition(group.names.readings, partition, -1) for partition in range(PARTITIONS)]
    for done in admin.delete_records(places).values():
        done.result(10)
    second.start()
    wait_until(lambda: len(second.events("partition restored")) == PARTITIONS, "the state", 30)
    before = len(group.said())
    group.send(DEVICES * 7)
    wait_until(lambda: len(group.said()) == before + DEVICES, "one of each device", 30)
    second.stop()

    complaints = [one for one in second.events("readings are gone that were to be read") if one["remedy"]]
    assert len(complaints) == PARTITIONS


def test_a_state_topic_with_too_few_partitions_is_refused_with_the_command_that_helps(group: Group) -> None:
    group.make_topics()
    group.server.create_topic(group.names.state, PARTITIONS - 1, cleanup__policy="compact")
    member = group.members[0]
    member.start()

    assert member.wait() == 2
    last = member.log.read_text().splitlines()[-1]
    assert f"has {PARTITIONS - 1} partitions" in last
    assert f"--alter --topic {group.names.state} --partitions {PARTITIONS}" in last


def test_a_state_topic_that_is_not_compacted_is_complained_of_and_used(group: Group) -> None:
    group.make_topics(cleanup__policy="delete")
    member = group.members[0]
    member.start()
    group.send(500)
    group.judged()
    member.stop()

    [complaint] = member.events("state topic is not compacted")
    assert "--add-config cleanup.policy=compact" in complaint["remedy"]
    assert len(group.rows()) == DEVICES + PARTITIONS


def test_what_kafka_refuses_for_good_is_counted_and_holds_up_nothing(group: Group) -> None:
    group.server.create_topic(group.names.readings, PARTITIONS)
    group.server.create_topic(group.names.anomalies, PARTITIONS, max__message__bytes="150")
    first, second = group.members
    first.start()
    group.send(DEVICES * 7)
    wait_until(lambda: len(first.events("record refused by kafka")) == DEVICES, "all to be refused", 40)
    first.stop()
    second.start()
    wait_until(lambda: len(second.events("partition restored")) == PARTITIONS, "the state", 30)
    second.stop()

    assert first.events("stopped")[0]["refused"] == DEVICES
    assert [one["replays"] for one in second.events("partition restored")] == [0] * PARTITIONS


def test_the_state_topic_is_made_compacted_with_as_many_partitions_as_the_readings(group: Group) -> None:
    group.make_topics()
    member = group.members[0]
    member.start()
    wait_until(lambda: len(member.events("partition restored")) == PARTITIONS, "the partitions", 30)
    member.stop()

    admin = AdminClient({"bootstrap.servers": group.server.bootstrap})
    assert len(admin.list_topics(group.names.state).topics[group.names.state].partitions) == PARTITIONS
    assert not member.events("state topic is not compacted")


def test_the_state_topic_waits_for_a_readings_topic_that_was_just_made(
    kafka: KafkaServer, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that has not heard of it yet cannot be had at will: its first two answers are made up."""
    config = DetectKafka(
        bootstrap_servers=kafka.bootstrap,
        readings_topic=topic,
        anomalies_topic=f"{topic}-a",
        state_topic=f"{topic}-s",
        commands_topic=f"{topic}-c",
        partitions=PARTITIONS,
    )
    unheard = [0, 0]
    truly = state_topic._partitions
    monkeypatch.setattr(state_topic, "_partitions", lambda *of: unheard.pop() if unheard else truly(*of))

    state_topic.ensure_detect_topics(config, "test")

    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    assert len(admin.list_topics(f"{topic}-s").topics[f"{topic}-s"].partitions) == PARTITIONS


def test_a_command_reaches_a_partition_that_is_being_restored_and_is_obeyed_once(group: Group) -> None:
    group.make_topics()
    first, second = group.members
    first.start()
    group.send(500)
    group.judged()
    first.kill()
    ids = sorted(group.said())
    for one in (ids[0], "unknown", ids[-1]):
        group.command(one)
    group._producer.produce(group.names.commands, b"{}", "x")
    second.start()
    group.command(ids[1])
    wait_until(lambda: len(group.said("acknowledged")) == 3, "all of them", 40)
    second.stop()
    first.start()  # hears them all again
    group.send(500)
    group.judged()
    first.stop()

    assert sorted(group.said("acknowledged")) == sorted([ids[0], ids[1], ids[-1]])
    assert second.events("record is no command")


def test_at_least_once_says_everything_after_kills(kafka: KafkaServer, topic: str, tmp_path: Path) -> None:
    group = Group(kafka, Names.of(topic), tmp_path, 'delivery = "at-least-once"')
    group.make_topics()
    member = group.members[0]
    try:
        for _ in range(3):
            member.start()
            group.send(5_000)
            wait_until(lambda: member.events("partition restored"), "a start", 30)
            member.kill()
        member.start()
        due = {
            f"count-device-{n}-level-{count}"
            for n in range(DEVICES)
            for count in range(7, 15_000 // DEVICES + 1, 7)
        }
        wait_until(lambda: due <= set(group.said()), "all anomalies", 60)
        member.stop()
    finally:
        member.kill()
    assert set(group.said()) == due
