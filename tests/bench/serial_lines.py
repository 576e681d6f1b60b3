"""Four serial lines at once, each with the bytes of 921,600 baud, to a real Kafka: what that costs, and whether all arrives."""

import json
import os
import subprocess
import sys
import tty
from contextlib import ExitStack
from typing import Final

import serial_writer
from daemon import Daemon
from figures import Figure, say
from gatewayd import WITHIN, Bench
from process import cpu_seconds, resident
from serial_writer import PACE, SENSORS, stream
from waiting import wait_until

PORTS: Final = 4
SECONDS: Final = 10


def serial_lines(bench: Bench) -> list[Figure]:
    """Share of a core, rates, memory, and what did not arrive."""
    bench.server.create_topic("serial-lines", partitions=6)
    sent = sum(stream(port, PACE * SECONDS).count(b"\n") for port in range(PORTS))
    with ExitStack() as stack:
        ends = [os.openpty() for _ in range(PORTS)]
        for one in [one for pair in ends for one in pair]:
            stack.callback(os.close, one)
        for _, there in ends:
            tty.setraw(there)
        sources = "".join(
            f'[sources.line-{port}]\nkind = "serial"\nport = "{os.ttyname(there)}"\nbaud = 921600\n'
            for port, (_, there) in enumerate(ends)
        )
        settings = 'readings_topic = "serial-lines"\n'
        daemon = stack.enter_context(
            Daemon(bench.folder / "serial-lines", bench.server.bootstrap, sources, settings)
        )
        wait_until(
            lambda: all(one["state"] == "connected" for one in daemon.status()["sources"]), "the ports"
        )
        wait_until(lambda: daemon.status()["kafka"]["reachable"], "Kafka")
        say(f"serial-lines: {PORTS} lines of {PACE:,} bytes/s for {SECONDS} s")
        masters = [here for here, _ in ends]
        command = [sys.executable, serial_writer.__file__, str(SECONDS), *map(str, masters)]
        before = cpu_seconds(daemon.pid)
        ran = subprocess.run(command, pass_fds=masters, check=True, stdout=subprocess.PIPE)
        writer = json.loads(ran.stdout)
        wait_until(lambda: _arrived(daemon)[1] >= sent * SENSORS, "all readings", WITHIN)
        used = cpu_seconds(daemon.pid) - before
        lines, readings = _arrived(daemon)
        _, peak = resident(daemon.pid)
        daemon.stop()
    what = f"{PORTS} serial lines of {PACE:,} bytes/s"
    return [
        Figure(f"{what}: bytes", writer["bytes"] / writer["seconds"], "/s", 0.99 * PORTS * PACE, least=True),
        Figure(f"{what}: readings", readings / writer["seconds"], "/s"),
        Figure(f"{what}: share of one core", 100 * used / writer["seconds"], "%"),
        Figure(f"{what}: processor time per line of {SENSORS} readings", used / lines * 1e6, "us"),
        Figure(f"{what}: bytes that found the line full", writer["refused"], "", 0),
        Figure(f"{what}: lines that did not become readings in Kafka", sent - lines, "", 0),
        Figure(f"{what}: resident memory, the most", peak, "MB", 60),
    ]


def _arrived(daemon: Daemon) -> tuple[int, int]:
    """Lines decoded, and readings that Kafka has, of all ports."""
    ledger = daemon.status()["ledger"]["sources"].values()
    for source in ledger:
        if source["payloads"]["dead_lettered"] or source["readings"]["dropped"]:
            raise RuntimeError(f"something was lost: {source}")
    return (
        sum(source["payloads"]["decoded"] for source in ledger),
        sum(source["readings"]["delivered"] for source in ledger),
    )
