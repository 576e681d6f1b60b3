"""What gatewayd writes to its card while Kafka answers: nothing."""

import subprocess
import time
from pathlib import Path
from typing import Final

from figures import Figure, say
from gatewayd import WITHIN, Bench, connected, delivered, pacer
from process import resident
from waiting import wait_until
from witness import Witness

RATE: Final = 1000
SECONDS: Final = 600
SETTLED: Final = 10
"""Seconds of the same before them, in which connections are made; what was spilled until Kafka answered is tidied away."""


def quiet_card(bench: Bench) -> list[Figure]:
    """Ten minutes of single readings. Any write to a file of the spool, or of a name, changes a time in the snapshot."""
    with bench.daemon("quiet-card") as daemon:
        connected(daemon)
        folder = bench.folder / "quiet-card" / "state" / "spool"
        subprocess.run(pacer(bench.broker.port, RATE, SETTLED), check=True)
        wait_until(lambda: delivered(daemon) == RATE * SETTLED, "everything delivered", WITHIN)
        wait_until(lambda: not daemon.status()["spool"]["segments"], "a tidy spool", WITHIN)
        witness = Witness(folder, bench.folder / "quiet-card-aside")
        before, written = _snapshot(folder), _write_bytes(daemon.pid)
        say(f"quiet-card: {SECONDS:,} s at {RATE:,}/s")
        with witness:
            subprocess.run(pacer(bench.broker.port, RATE, SECONDS), check=True)
            wait_until(
                lambda: delivered(daemon) == RATE * (SETTLED + SECONDS), "everything delivered", WITHIN
            )
        time.sleep(10)  # what a spool with nothing to do might put off
        changed = len(before.items() ^ _snapshot(folder).items())
        written = _write_bytes(daemon.pid) - written
        _, peak = resident(daemon.pid)
        daemon.stop()
    what = f"Kafka answering, {RATE:,}/s for {SECONDS // 60} min"
    return [
        Figure(f"{what}: files of the spool that changed", changed, "", 0),
        Figure(
            f"{what}: readings spilled", sum(last - first + 1 for first, last in witness.spilled()), "", 0
        ),
        Figure(f"{what}: bytes that gatewayd wrote to any file", written, "B"),
        Figure(f"{what}: resident memory, the most", peak, "MB", 60),
    ]


def _snapshot(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Of the folder, and all in it."""
    stats = {path: path.stat() for path in (folder, *folder.rglob("*"))}
    return {path: (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for path, stat in stats.items()}


def _write_bytes(pid: int) -> int:
    """What a process had written to the page cache for any device, logs included."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])
