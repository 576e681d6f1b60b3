"""gatewayd under measurement: from MQTT QoS 1 to a real Kafka."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import publish
from daemon import Daemon
from figures import Figure, say
from kafka import KafkaServer
from mosquitto import Mosquitto
from process import cpu_seconds, frozen, resident
from waiting import wait_until

ROUNDS: Final = 3
"""Of each full-rate work; the median counts."""

BACKLOG: Final = 100_000
PAYLOADS: Final = 4_000
PACK: Final = 50
PACE: Final = 500
PACED_SECONDS: Final = 15
WITHIN: Final = 60.0


class Bench:
    """The servers, a folder, and a gatewayd for each piece of work."""

    def __init__(self, folder: Path, broker: Mosquitto, server: KafkaServer) -> None:
        self.folder = folder
        self.broker = broker
        self.server = server

    def daemon(self, name: str, version: str = '"3.1.1"', bootstrap: str = "") -> Daemon:
        """A gatewayd with an MQTT session and a topic of its own, both called `name`; `bootstrap`: its way to Kafka."""
        self.server.create_topic(name, partitions=6)
        source = f"""
[sources.plant]
kind = "mqtt"
broker = "127.0.0.1"
port = {self.broker.port}
version = {version}
client_id = "{name}"
topics = ["plant/{{device}}/{{sensor}}", "rack/{{device}}"]
"""
        settings = f'readings_topic = "{name}"\n'
        return Daemon(self.folder / name, bootstrap or self.server.bootstrap, source, settings)

    def full_rate(self) -> list[Figure]:
        """Backlogs as fast as they go, and the memory that takes."""
        singles = [publish.single(number) for number in range(BACKLOG)]
        packs = [publish.packed(number, PACK) for number in range(PAYLOADS)]
        rate, cost, memory, peak = self._backlog("singles", '"3.1.1"', singles, 1)
        rate_5, cost_5, _, peak_5 = self._backlog("singles-v5", "5", singles, 1)
        rate_packed, cost_packed, _, peak_packed = self._backlog("packs", '"3.1.1"', packs, PACK)
        return [
            Figure("full rate, MQTT 3.1.1: processor time per reading", cost, "us", 40),
            Figure("full rate, MQTT 3.1.1: readings", rate, "/s"),
            Figure("full rate, MQTT 5: processor time per reading", cost_5, "us"),
            Figure("full rate, MQTT 5: readings", rate_5, "/s"),
            Figure(f"{PACK} to a payload, MQTT 3.1.1: processor time per reading", cost_packed, "us", 4),
            Figure(f"{PACK} to a payload, MQTT 3.1.1: readings", rate_packed, "/s"),
            Figure("resident memory after full rate, MQTT 3.1.1", memory, "MB", 50),
            Figure("resident memory, the most in any of these", max(peak, peak_5, peak_packed), "MB", 50),
        ]

    def paced(self) -> list[Figure]:
        """A steady stream of single readings."""
        with self.daemon("paced") as daemon:
            connected(daemon)
            before = cpu_seconds(daemon.pid)
            subprocess.run(pacer(self.broker.port, PACE, PACED_SECONDS), check=True)
            count = PACE * PACED_SECONDS
            wait_until(lambda: delivered(daemon) == count, "everything delivered", WITHIN)
            cost = (cpu_seconds(daemon.pid) - before) / count * 1e6
            memory, _ = resident(daemon.pid)
            daemon.stop()
        return [
            Figure(f"{PACE}/s, MQTT 3.1.1: processor time per reading", cost, "us", 90),
            Figure(f"resident memory at {PACE}/s", memory, "MB", 50),
        ]

    def _backlog(
        self, name: str, version: str, messages: Sequence[publish.Message], pack: int
    ) -> tuple[float, float, float, float]:
        """Readings per second, microseconds per reading, and resident memory, present and peak, in MB."""
        publisher = publish.Publisher(self.broker.port)
        rates, costs = [], []
        with self.daemon(name, version) as daemon:
            connected(daemon)
            for number in range(ROUNDS):
                say(f"{name}: {len(messages):,} messages, round {number + 1} of {ROUNDS}")
                with frozen(daemon.pid):
                    publisher.publish(messages)
                    cpu, began = cpu_seconds(daemon.pid), time.monotonic()
                count = len(messages) * pack
                target = count * (number + 1)
                while delivered(daemon) < target:
                    if time.monotonic() > began + WITHIN:
                        raise RuntimeError(f"not delivered within {WITHIN:g} s: {daemon.ledger('plant')}")
                    time.sleep(0.1)  # every question costs the daemon time that we measure
                rates.append(count / (time.monotonic() - began))
                costs.append((cpu_seconds(daemon.pid) - cpu) / count * 1e6)
            memory, peak = resident(daemon.pid)
            daemon.stop()
        return median(rates), median(costs), memory, peak


def connected(daemon: Daemon) -> None:
    """Wait until it has its MQTT session and Kafka."""
    wait_until(lambda: daemon.state("plant") == "connected", "the MQTT session")
    wait_until(lambda: daemon.status()["kafka"]["reachable"], "Kafka")


def delivered(daemon: Daemon) -> int:
    """Readings that Kafka has. A single one dropped makes the measurement worthless."""
    readings = daemon.ledger("plant")["readings"]
    if readings["dropped"] or readings["refused"]:
        raise RuntimeError(f"readings were dropped: {readings}")
    return int(readings["delivered"])


def pacer(port: int, rate: int, seconds: int) -> list[str | Path]:
    """The command that publishes at a steady pace, in a process of its own so that it keeps it."""
    return [sys.executable, Path(publish.__file__), str(port), str(rate), str(seconds)]
