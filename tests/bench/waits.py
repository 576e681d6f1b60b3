"""What a person waits for: gatewayd until READY, and `gatewayctl status`."""

import os
import socket
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Final

from daemon import COMMANDS
from figures import Figure
from gatewayd import Bench, connected

STARTS: Final = 5
QUESTIONS: Final = 10


def start_up(bench: Bench) -> list[Figure]:
    """From exec to READY=1, as systemd sees it."""
    config = bench.daemon("start-up").config
    times = [_until_ready(bench.folder / "notify", config) for _ in range(STARTS)]
    return [Figure("gatewayd from start to READY", median(times), "s", 1)]


def status(bench: Bench) -> list[Figure]:
    """`gatewayctl status` as typed, interpreter and all."""
    times = []
    with bench.daemon("status") as daemon:
        connected(daemon)
        for _ in range(QUESTIONS):
            began = time.monotonic()
            command: list[str | Path] = [COMMANDS / "gatewayctl", "status", "--socket", daemon.socket]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.append(time.monotonic() - began)
        daemon.stop()
    return [Figure("gatewayctl status", median(times), "s", 0.1)]


def _until_ready(path: Path, config: Path) -> float:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(20)
        began = time.monotonic()
        process = subprocess.Popen(
            [COMMANDS / "gatewayd", "--config", config],
            env={**os.environ, "NOTIFY_SOCKET": str(path)},
            stderr=subprocess.DEVNULL,
        )
        try:
            while b"READY=1" not in notify.recv(65_536):
                pass
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait(20)
            path.unlink()
