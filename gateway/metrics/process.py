"""What the process takes of the machine, under the names that Prometheus has for it everywhere."""

import os
import time
from pathlib import Path
from typing import Final

from gateway.metrics.text import Family, one

_OWN: Final = Path("/proc/self")


def families() -> list[Family]:
    """Memory, processor time and open files, from /proc; never blocks."""
    pages = int((_OWN / "statm").read_text(encoding="ascii").split()[1])
    return [
        one("process_resident_memory_bytes", "Memory in use.", pages * os.sysconf("SC_PAGE_SIZE")),
        Family(
            "process_cpu_seconds_total",
            "counter",
            "Processor time used, of user and system.",
            [({}, round(time.process_time(), 3))],
        ),
        one("process_open_fds", "Open file descriptors.", len(list((_OWN / "fd").iterdir()))),
    ]
