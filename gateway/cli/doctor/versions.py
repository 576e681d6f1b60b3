"""Versions: whether what is installed also runs."""

import platform
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

from gateway.cli.doctor.finding import Finding, ok, warning
from gateway.cli.doctor.here import Unit
from gateway.cli.doctor.machine import Machine
from gateway.kafka.library import librdkafka_version

SYSTEMD: Final = 252
RESTART: Final = "sudo systemctl restart {}"


def installed(machine: Machine) -> Iterator[Finding]:
    """Of what the gateway stands on."""
    mine, python = distribution("iot-edge-gateway").version, platform.python_version()
    yield ok("gateway", f"{mine}, Python {python}, librdkafka {librdkafka_version()}")
    words = (machine.run("systemctl", "--version") or "").split()
    if len(words) > 1 and words[1].isdigit() and int(words[1]) < SYSTEMD:
        yield warning(
            "systemd too old",
            "systemd",
            f"it is version {words[1]}, and the units are made for {SYSTEMD} and later",
            "upgrade to Debian 12 or Raspberry Pi OS 12",
        )


def running(status: dict[str, Any] | None, asked: float, unit: Unit) -> Iterator[Finding]:
    """Whether the daemon, which was asked at that time, is the one that is installed."""
    if status is None:
        return
    said, mine = status["gateway"]["version"], distribution("iot-edge-gateway").version
    age = asked - _installed_at()
    looked_at = f"gatewayd, process {status['gateway']['pid']}"
    if said != mine:
        yield warning(
            "daemon of another version",
            looked_at,
            f"version {said} runs, and {mine} is installed",
            RESTART.format(unit.name),
        )
    elif status["gateway"]["uptime_s"] > age:
        yield warning(
            "daemon older than installed",
            looked_at,
            f"it has run for {status['gateway']['uptime_s']:.0f} s, and version {mine} was installed {age:.0f} s ago",
            RESTART.format(unit.name),
        )


def _installed_at() -> float:
    """When its files were put here: not when they were made, which is what the time in a package says."""
    files = distribution("iot-edge-gateway").files or []
    record = next((one for one in files if one.name == "METADATA"), None)
    return Path(str(record.locate())).stat().st_ctime if record else 0.0
