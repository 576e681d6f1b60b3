"""The plant of detection's laboratory: readings that never stop, three processes that judge them, three Kafka brokers.

feeder -> readings -> proxies -> three processes of one group (gateway-detect) -> anomalies
                      people who acknowledge anomalies -> anomaly-commands
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from operator import ge
from pathlib import Path
from typing import Final, Self

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from detect_fleet import SETTINGS, WARM_UP, Fleet, Sent
from detect_member import GATEWAY_DETECT, Member, Names
from detect_terms import Asked
from kafka_cluster import KafkaCluster
from waiting import wait_until

from gateway.wire import VERSION, Command, encode_command

NAMES: Final = Names()
ALONE: Final = Names(group="alone", anomalies="alone", state="alone-state")
PARTITIONS: Final = 6
MEMBERS: Final = 3
RATE: Final = 2_000
"""Readings a second."""

RECOVERY: Final = 60.0
"""Seconds within which all that was there at a fault must be dealt with."""


class Feeder:
    """Readings in order per device, as fast as RATE, from a thread. Use as a context manager.

    Before that, as fast as it goes, those of the first days: from then on all rules may speak.
    """

    def __init__(self, bootstrap: str, seed: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "partitioner": "murmur2_random",
                "log_level": 0,
            }
        )
        self._fleet = Fleet(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="feeder")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def warm_up(self) -> None:
        """Send those of the first days; on return Kafka has them."""
        while self._fleet.steps < WARM_UP:
            for piece in self._fleet.step():
                self._send(piece)
        self._flush()

    def stop(self) -> None:
        """Send no more; on return Kafka has all."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._flush()

    def say(self, asked: Iterable[Asked]) -> None:
        """What people say of anomalies."""
        for one, verb in asked:
            command = msgspec.convert(
                {"v": VERSION, "id": one, "verb": verb, "by": "laboratory", "time": time.time_ns()}, Command
            )
            self._producer.produce(NAMES.commands, encode_command(command), one)

    def _feed(self) -> None:
        while True:
            for piece in self._fleet.step():
                if self._stop.wait(len(piece) / RATE):
                    return
                self._send(piece)

    def _send(self, piece: Iterable[Sent]) -> None:
        for key, value in piece:
            while True:
                try:
                    self._producer.produce(NAMES.readings, value, key)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        self._producer.poll(0)

    def _flush(self) -> None:
        while self._producer.flush(10):
            pass


class Plant:
    """All of it. Use as a context manager."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.folder = folder
        self.cluster = KafkaCluster(folder / "kafka")
        self.feeder = Feeder(self.cluster.near, seed)
        self.members = [self.member(f"member-{n}", self.cluster.far, NAMES) for n in range(MEMBERS)]
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
            self.feeder.warm_up()
            for member in self.members:
                stack.callback(member.kill)
                member.start()
            stack.enter_context(self.feeder)
            self.caught_up("the first readings")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def member(self, name: str, bootstrap: str, names: Names) -> Member:
        """One more process; not started yet."""
        return Member(self.folder / name, bootstrap, names, GATEWAY_DETECT, rules=SETTINGS)

    def caught_up(self, what: str, within: float = RECOVERY, group: str = NAMES.group) -> float:
        """Wait until the group has dealt with all that is in Kafka now; how many seconds that took."""
        began = time.monotonic()
        places = [TopicPartition(NAMES.readings, number) for number in range(PARTITIONS)]
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
