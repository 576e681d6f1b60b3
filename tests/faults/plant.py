"""The plant of the laboratory: everything that a gateway in the field stands between, real and on this machine.

    publishers -> mosquitto -> recording proxy ->
                                                  gatewayd -> proxy -> each of three Kafka brokers -> the judge's reader
    writer     -> serial line (pty)            ->                                                  -> gateway-detect

A fault is a function that is given the plant and a source of chance and is used as a context manager: it strikes, yields
while it lasts, and mends the world when the runner comes back to it (see FAULTS in catalogue.py).
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from daemon import Daemon
from inputs import LINE, Inputs, MqttInput, SerialInput
from judge import Evidence
from kafka import free_ports
from kafka_cluster import KafkaCluster
from lateness import Lateness
from mosquitto import Mosquitto
from mqtt_record import MqttRecord
from proxy import Proxy
from pty_port import SerialLine
from small_disk import small_disk
from supervised import Detector, Gateway
from waiting import wait_until

CHECKOUT: Final = Path(__file__).parents[2]
PARTITIONS: Final = 6
BATCH_AGE: Final = 0.1
"""Seconds; the gateway's default."""

STEPS: Final = 8
"""From the line to the disk, each of which a busy machine can make late: the loop reads, closes the batch, and wakes the
spool, which ends what it is at (two turns of its thread), begins, writes and syncs."""


class Unavailable(Exception):
    """This machine lacks what the fault needs. The text says what."""


@dataclass
class Wounds:
    """What the fault of this round did that the judge has to know. Faults write it.

    Attributes:
        broker_killed: mosquitto was killed, and may have forgotten what it had not written.
        damaged: readings by source (`plant` is MQTT's, `line` the serial one) in frames that the fault damaged on disk.
        copied: an old copy of the spool was brought back.
        checks: asked after the round, when all is quiet: each returns what is wrong, or an empty text.
        note: a word for the line of the round, such as how long a cut lasted.
    """

    broker_killed: bool = False
    damaged: dict[str, int] = field(default_factory=dict)
    copied: bool = False
    checks: list[Callable[[], str]] = field(default_factory=list)
    note: str = ""


class Plant:
    """All of it. Use as a context manager, which takes some twenty seconds to come up.

    Attributes:
        folder: where everything has its data; state: the gateway's state_dir, with the folder `spool` in it.
        cluster: the Kafka brokers, the proxies between gateway and them, and watches over its requests.
        mosquitto, mqtt_proxy: the MQTT broker, and the proxy between gateway and it.
        line: the serial line; use hang_up() and plug_in() here, not its own.
        gateway, detector: the programs under test.
        inputs: publishers and writer.
        wounds: of this round.
        spill_after: the gateway's setting.
    """

    def __init__(self, folder: Path, spill_after: float = 1.0) -> None:
        self.folder = folder
        self.spill_after = spill_after
        self.wounds = Wounds()
        self.hang_ups: list[int] = []
        self.record = MqttRecord()
        self.cluster = KafkaCluster(folder / "kafka")
        config = (CHECKOUT / "config" / "mosquitto.conf").read_text()
        self.mosquitto = Mosquitto(folder / "mosquitto", config, free_ports(1)[0])
        self.mqtt_proxy = Proxy(free_ports(1)[0], self.mosquitto.port, self.record.connection)
        self.line = SerialLine(folder)
        daemon = Daemon(
            folder / "gateway", self.cluster.far, self._sources(), f"[spool]\nspill_after = {spill_after}\n"
        )
        self.state = folder / "gateway" / "state"
        self.gateway = Gateway(daemon)
        self.detector = Detector(folder / "detector", self.cluster.near)
        self.lateness = Lateness(folder / "probe")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.line)
            stack.enter_context(self.cluster)
            self.cluster.create_topics(["readings", "dead-letters", "anomalies"], PARTITIONS)
            stack.callback(self.mosquitto.stop)
            self.mosquitto.start()
            stack.enter_context(self.mqtt_proxy)
            stack.enter_context(small_disk(self.state))
            stack.enter_context(self.gateway)
            stack.enter_context(self.detector)
            stack.enter_context(self.lateness)
            self.inputs = stack.enter_context(Inputs(MqttInput(self.mosquitto.port), SerialInput(self.line)))
            wait_until(self.connected, "the gateway to find its sources", 60)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin_round(self) -> None:
        """Forget the wounds of the round before."""
        self.wounds = Wounds()
        self.hang_ups = []
        self.gateway.begin_round()
        self.lateness.begin_round()

    def hang_up(self) -> None:
        """Pull the plug of the serial line."""
        self.line.hang_up()
        self.hang_ups.append(time.monotonic_ns())

    def plug_in(self) -> None:
        """Plug it in again."""
        self.line.plug_in()

    def kill_mosquitto(self) -> None:
        """kill -9 of the MQTT broker."""
        self.wounds.broker_killed = True
        self.mosquitto.kill()

    def connected(self) -> bool:
        """Whether the gateway has all its sources."""
        return all(source["state"] == "connected" for source in self.gateway.status()["sources"])

    def at_rest(self, status: dict[str, Any]) -> bool:
        """Whether nothing is on its way in the gateway or between it and the MQTT broker, by its status."""
        waits = [
            one["readings"]["spooled"] + one["readings"]["in_memory"]
            for one in status["ledger"]["sources"].values()
        ]
        connected = all(source["state"] == "connected" for source in status["sources"])
        return connected and not any(waits) and not self.record.waiting

    @property
    def bound(self) -> float:
        """Seconds: how old a reading from the serial line may be at a kill without being safe."""
        return self.spill_after + BATCH_AGE + STEPS * self.lateness.worst

    def evidence(self) -> Evidence:
        """Of this round, for the judge."""
        kinds = {"plant": "mqtt", LINE: "serial"}
        return Evidence(
            self.inputs.said,
            frozenset([LINE]),
            self.record.fresh,
            self.record.again,
            self.record.acknowledged,
            self.gateway.kills,
            self.gateway.starts,
            self.hang_ups,
            self.wounds.broker_killed,
            {kinds[source]: count for source, count in self.wounds.damaged.items()},
            self.wounds.copied,
            self.bound,
        )

    def repair(self) -> None:
        """Bring everything back to work that a failed round may have left in pieces."""
        for proxy in (*self.cluster.proxies, self.mqtt_proxy):
            proxy.refusing = False
            proxy.resume()
        self.cluster.start([broker for broker in self.cluster.brokers if not broker.running])
        if not self.mosquitto.running:
            self.mosquitto.start()
        if not self.line.name.exists():
            self.plug_in()
        self.detector.start()
        self.gateway.start()

    def _sources(self) -> str:
        return f"""
[sources.plant]
kind = "mqtt"
broker = "127.0.0.1"
port = {self.mqtt_proxy.port}
topics = ["plant/{{device}}/{{sensor}}"]
[sources.{LINE}]
kind = "serial"
port = "{self.line.name}"
"""


Fault = Callable[[Plant, random.Random], AbstractContextManager[None]]


@contextmanager
def nothing(_plant: Plant, _chance: random.Random) -> Iterator[None]:
    """No fault at all: what the others are measured against."""
    yield
