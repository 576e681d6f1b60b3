"""The plant of detection's laboratory: readings that never stop, three processes that judge them, three Kafka brokers.

feeder -> readings -> proxies -> three processes of one group (gateway-detect with the counting bank) -> anomalies
                      people who acknowledge anomalies -> anomaly-commands
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from operator import ge
from pathlib import Path
from typing import Final, Self

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from detect_member import Member, Names
from kafka_cluster import KafkaCluster
from waiting import wait_until

import devices.reading
from gateway.wire import VERSION, Command, encode_command, encode_reading

NAMES: Final = Names()
ALONE: Final = Names(group="alone", anomalies="alone", state="alone-state")
PARTITIONS: Final = 6
DEVICES: Final = 120
SECOND: Final = 1_000_000_000
NOON: Final = 1_767_355_200 * SECOND
MEMBERS: Final = 3
RATE: Final = 1_500
"""Readings a second."""

PIECE: Final = 30
RECOVERY: Final = 60.0
"""Seconds within which all that was there at a fault must be dealt with."""


class Feeder:
    """Readings in order per device, as fast as RATE, from a thread. Use as a context manager.

    A device in ten pauses now and then for longer than the bank takes for silence, by the clock in its readings.
    """

    def __init__(self, bootstrap: str, chance: random.Random) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "partitioner": "murmur2_random",
                "log_level": 0,
            }
        )
        self._chance = chance
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="feeder")
        self.sent = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more; on return Kafka has all."""
        self._stop.set()
        self._thread.join()
        while self._producer.flush(10):
            pass

    def acknowledge(self, ids: Sequence[str]) -> None:
        """Say that these anomalies were seen."""
        for one in ids:
            command = Command(VERSION, one, "ack", "laboratory", time.time_ns())
            self._producer.produce("anomaly-commands", encode_command(command), one)

    def _feed(self) -> None:
        silent: dict[int, int] = {}
        while not self._stop.wait(PIECE / RATE):
            for _ in range(PIECE):
                self.sent += 1
                device = self._chance.randrange(DEVICES)
                at = NOON + self.sent * SECOND // 20  # a device reports each 6 s of its own time
                if device % 10 == 0:
                    if silent.get(device, 0) > at:
                        continue
                    if self._chance.random() < 0.05:
                        silent[device] = at + 60 * SECOND
                value = self._chance.gauss(20, 1)
                reading = devices.reading.Reading(f"device-{device}", "level", value, at, "line", at)
                record = encode_reading(reading, "gw-1", "spool-1", self.sent)
                self._producer.produce("readings", record, f"gw-1/device-{device}")
            self._producer.poll(0)


class Plant:
    """All of it. Use as a context manager."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.cluster = KafkaCluster(folder / "kafka")
        self.feeder = Feeder(self.cluster.near, chance)
        self.members = [Member(folder / f"member-{n}", self.cluster.far, NAMES) for n in range(MEMBERS)]
        self.note = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.cluster)
            self.cluster.create_topics(["readings", "anomalies", "alone"], PARTITIONS)
            for state in ("detect-state", "alone-state"):
                self.cluster.create_topics(
                    [state], PARTITIONS, cleanup__policy="compact", segment__ms="10000"
                )
            self.cluster.create_topics(["anomaly-commands"], 1)
            for member in self.members:
                stack.callback(member.kill)
                member.start()
            stack.enter_context(self.feeder)
            self.caught_up("the first readings")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def caught_up(self, what: str, within: float = RECOVERY, group: str = NAMES.group) -> float:
        """Wait until the group has dealt with all that is in Kafka now; how many seconds that took."""
        began = time.monotonic()
        places = [TopicPartition("readings", number) for number in range(PARTITIONS)]
        consumer = Consumer(
            {
                "bootstrap.servers": self.cluster.near,
                "group.id": group,
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )

        def ask(question: Callable[[], list[int]]) -> list[int]:
            with suppress(KafkaException):  # a broker may be away
                return question()
            return []

        def ends() -> list[int]:
            # A feeder without transactions leaves no marks: an end is the place behind the last reading.
            return [consumer.get_watermark_offsets(place, 5)[1] for place in places]

        def passed() -> bool:
            consumer.poll(0.1)  # has nothing: asking without a pause would cost what is to be measured
            done = ask(lambda: [place.offset for place in consumer.committed(places, 5)])
            return bool(done) and all(map(ge, done, due))

        try:
            due = wait_until(lambda: ask(ends), "readings", within)
            wait_until(passed, f"{what} to be dealt with", within)
        finally:
            consumer.close()
        return time.monotonic() - began

    def repair(self) -> None:
        """Bring everything back to work."""
        for watch in self.cluster.watches:
            watch.off()
        for proxy in self.cluster.proxies:
            proxy.resume()
        self.cluster.start([broker for broker in self.cluster.brokers if not broker.running])
        for member in self.members:
            member.thaw()
            member.start()
