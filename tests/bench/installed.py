"""What the installed package takes under a real systemd: memory, starts and stops, and the answers of gatewayctl.

Needs root, as the tests of the package do: a booted Debian 12 in a container.
"""

import re
import statistics
import threading
import time
from pathlib import Path
from typing import Final

from booted import Booted, unbootable
from debian import missing
from figures import Figure, say
from fixtures_debian import build
from gatewayd import Bench
from mosquitto import Mosquitto
from publish import Publisher, single
from service import Service

UNIT: Final = "gateway.service"
DETECT: Final = "gateway-detect.service"
SETTLED: Final = 20.0
"""Seconds after which memory is looked at."""

PER_SECOND: Final = 2000
ASKED: Final = 30


def installed(bench: Bench) -> list[Figure]:
    """Of both services, with nothing to do and with 2,000 readings a second over MQTT."""
    if obstacle := missing() or unbootable():
        say(f"left out: {obstacle}")
        return []
    (deb, *_) = build(bench.folder / "debs", "amd64")
    with Booted("bookworm", bench.folder / "root") as machine:
        machine.install(deb)
        service = Service(machine, bench.server, "installed")
        service.clear()
        machine.write("/etc/gateway/detect.d/50-site.toml", service.topics())
        service.configure(_source(bench.broker))
        return [*_starts(machine), *_idle_and_loaded(bench, service), *_stops(service), *_exposure(machine)]


def _source(broker: Mosquitto) -> str:
    return f"""
[sources.plant]
kind = "mqtt"
broker = "127.0.0.1"
port = {broker.port}
version = "3.1.1"
topics = ["plant/{{device}}/{{sensor}}"]
"""


def _starts(machine: Booted) -> list[Figure]:
    """From the start of the program, and of the machine, until the gateway is ready."""
    machine.cut_power()
    machine.boot()
    moments = [
        int(machine.show(UNIT, name))
        for name in ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    ]
    up = int(machine.systemctl("show", "--property=UserspaceTimestampMonotonic", "--value"))
    return [
        Figure("installed: start of the program until READY", (moments[1] - moments[0]) / 1e3, "ms"),
        Figure("installed: start of systemd until READY", (moments[1] - up) / 1e3, "ms"),
    ]


def _idle_and_loaded(bench: Bench, service: Service) -> list[Figure]:
    machine = service.machine
    machine.systemctl("restart", UNIT, DETECT)
    service.await_source("plant")
    time.sleep(SETTLED)
    figures = _memory(machine, "idle")
    over = threading.Event()

    def load() -> None:
        publisher, sent, began = Publisher(bench.broker.port), 0, time.monotonic()
        while not over.wait(max(0.0, began + sent / PER_SECOND - time.monotonic())):
            publisher.publish([single(sent + number) for number in range(PER_SECOND // 20)])
            sent += PER_SECOND // 20

    publishing = threading.Thread(target=load, name="load")
    publishing.start()
    try:
        time.sleep(2 * SETTLED)
        figures += _memory(machine, f"{PER_SECOND} readings/s")
        figures.append(
            Figure("installed: gatewayctl status, median under load", _answers(machine), "ms", 150)
        )
    finally:
        over.set()
        publishing.join()
    return figures


def _answers(machine: Booted) -> float:
    """Milliseconds of one `gatewayctl status`, without those of entering the container."""
    times = (
        "import subprocess, time\n"
        f"for _ in range({ASKED}):\n"
        "    began = time.monotonic()\n"
        "    subprocess.run(['gatewayctl', 'status'], stdout=subprocess.DEVNULL)\n"
        "    print(time.monotonic() - began)\n"
    )
    return 1e3 * statistics.median(map(float, machine.run("python3", "-c", times).split()))


def _memory(machine: Booted, when: str) -> list[Figure]:
    """Resident memory, and the share of it that counts if what is shared is divided among those who share it."""
    figures = []
    for unit in (UNIT, DETECT):
        rollup = Path(f"/proc/{machine.outer(unit)}/smaps_rollup").read_text()
        for name, what in (("Rss", "resident"), ("Pss", "its share")):
            found = re.search(rf"^{name}:\s+(\d+) kB$", rollup, re.MULTILINE)
            assert found is not None, rollup
            figures.append(Figure(f"installed: {unit}, {when}, {what}", int(found[1]) * 1024 / 1e6, "MB"))
    return figures


def _stops(service: Service) -> list[Figure]:
    machine, figures = service.machine, []
    for unit in (UNIT, DETECT):
        began = time.monotonic()
        machine.systemctl("stop", unit)
        figures.append(Figure(f"installed: stop of {unit} with Kafka", time.monotonic() - began, "s"))
    return figures


def _exposure(machine: Booted) -> list[Figure]:
    """As systemd sees the units that it has loaded."""
    figures = []
    for unit in (UNIT, DETECT):
        report = machine.run("systemd-analyze", "security", "--no-pager", unit)
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)
        assert found is not None, report
        figures.append(Figure(f"installed: exposure of {unit}", float(found[1]), ""))
    return figures
