"""gateway.service as systemd runs it in a booted Debian, with a Kafka, topics and an id of its own for one test."""

import json
from pathlib import Path
from typing import Any, Final

from booted import Booted
from kafka import KafkaServer
from waiting import wait_until

from gateway import wire

HERE: Final = Path(__file__).parent
SITE: Final = "/etc/gateway/conf.d/50-site.toml"


class Service:
    """The package is installed; nothing of it runs before start().

    Attributes:
        readings: name of the topic; `anomalies`, likewise.
    """

    def __init__(self, machine: Booted, kafka: KafkaServer, topic: str) -> None:
        self.machine = machine
        self.kafka = kafka
        self.id = topic[-60:]
        self.readings, self.anomalies = topic, f"{topic}-anomalies"

    def configure(self, sources: str, *, bootstrap: str = "", id_: str = "", path: str = SITE) -> None:
        """Write a drop-in with these tables of sources; it counts from the next start."""
        self.machine.write(
            path,
            f"""
[gateway]
id = "{id_ or self.id}"
[clock]
trusted = true
{self.topics(bootstrap)}
{sources}
""",
        )

    def topics(self, bootstrap: str = "") -> str:
        """The table [kafka] of the gateway and of the detector."""
        return f"""
[kafka]
bootstrap_servers = "{bootstrap or self.kafka.bootstrap}"
readings_topic = "{self.readings}"
dead_letters_topic = "{self.readings}-dead"
status_topic = "{self.readings}-status"
anomalies_topic = "{self.anomalies}"
partitions = 1
"""

    def unit(self, unit: str, lines: str) -> None:
        """Have these lines in the section [Service] of a unit, as `systemctl edit` does."""
        self.machine.write(f"/etc/systemd/system/{unit}.d/50-test.conf", f"[Service]\n{lines}\n")
        self.machine.systemctl("daemon-reload")

    def run_by(self, script: str, *words: str) -> str:
        """Lines that run gatewayd by one of the scripts beside this file; `words` come before its own arguments."""
        command = ("/opt/gateway/bin/python3 -I", self.bring(script), *words)
        return f"ExecStart=\nExecStart={' '.join(command)} --config /etc/gateway/gateway.toml"

    def bring(self, script: str) -> str:
        """Put one of the scripts beside this file there; returns its path in there."""
        path = f"/srv/{script}"
        self.machine.write(path, (HERE / script).read_text())
        return path

    def start(self, unit: str = "gateway.service") -> None:
        """On return it has said that it is ready."""
        self.machine.systemctl("start", unit)

    def status(self) -> dict[str, Any]:
        """What `gatewayctl status --json` prints."""
        found: dict[str, Any] = json.loads(self.machine.run("gatewayctl", "status", "--json", check=False))
        return found

    def await_source(self, name: str) -> None:
        """Until the link of a source is there; one of MQTT has its subscriptions by then."""

        def there() -> bool:
            sources = self.status().get("sources", [])
            return (name, "connected") in [(one["name"], one["state"]) for one in sources]

        wait_until(there, f"source {name} to be connected")

    def until(self, source: str, count: str, number: int, within: float = 30.0) -> None:
        """Wait until so many readings of a source are counted as `made`, `delivered` or `spooled`."""

        def there() -> bool:
            sources = self.status().get("ledger", {}).get("sources", {})
            return source in sources and bool(sources[source]["readings"][count] >= number)

        wait_until(there, f"{number} readings of {source} {count}", within)

    def records(self) -> list[wire.Reading]:
        """The readings that Kafka has."""
        return [wire.decode_reading(one.value() or b"") for one in self.kafka.read_all(self.readings)]

    def verify(self) -> None:
        """`gatewayctl verify` in there finds nothing missing, repeated or out of order."""
        self.machine.run("gatewayctl", "verify")

    def restarts(self, unit: str = "gateway.service") -> int:
        """How often systemd has started it again by itself."""
        return int(self.machine.show(unit, "NRestarts"))

    def await_restart(self, number: int = 1, within: float = 20.0) -> None:
        """Until systemd has started it again for the so manieth time, and it is ready."""
        unit = "gateway.service"
        wait_until(
            lambda: self.restarts() == number and self.machine.show(unit, "ActiveState") == "active",
            "systemd to start it again",
            within,
        )

    def clear(self) -> None:
        """Stop all of it, and take away what it kept and what tests configured."""
        machine = self.machine
        units = ("gateway.service", "gateway-detect.service", "gateway@line-2.service")
        machine.systemctl("stop", "--no-block", *units)
        machine.run("systemctl", "kill", "--signal=KILL", *units, check=False)
        machine.systemctl("stop", *units)
        for path in (
            SITE,
            "/etc/gateway/conf.d/10-simulator.toml",
            "/etc/gateway/detect.d/50-site.toml",
            "/etc/gateway/line-2.toml",
            *(f"/etc/systemd/system/{unit}.d" for unit in units),
            *(f"/var/lib/{name}" for name in ("gateway", "gateway-detect", "gateway@line-2")),
        ):
            machine.remove(path)
        machine.systemctl("daemon-reload")
        machine.run("systemctl", "reset-failed", *units, check=False)
