"""What reaches the device under a folder: the kernel's own count, journal and metadata of the file system included."""

import os
import time
from pathlib import Path
from typing import Final

SECTOR: Final = 512
WRITTEN: Final = 6
"""Place in /sys/dev/block/*/stat of the sectors written."""


def written(folder: Path) -> int:
    """Bytes written so far to the device that holds `folder`, by anybody, after everything pending was flushed.

    Raises:
        FileNotFoundError: no device holds it (tmpfs, overlay).
    """
    os.sync()
    number = folder.stat().st_dev
    stat = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat")
    return int(stat.read_text().split()[WRITTEN]) * SECTOR


def noise(folder: Path, seconds: float = 3.0) -> float:
    """Bytes a second that others write to that device, seen for a moment in which the caller writes nothing."""
    before, began = written(folder), time.monotonic()
    time.sleep(seconds)
    return (written(folder) - before) / (time.monotonic() - began)
