"""Runs a Python program whose wall clock can be stepped while it runs: `stepped.py OFFSET PROGRAM [ARGUMENT...]`.

OFFSET is a file that set_offset() writes. The monotonic clock goes on as it is, as it does when a real clock is set. What
does not ask Python for the time is not stepped: the threads of the Kafka client, and the times in the log. (libfaketime
steps those too, but under it a wait of a second that a step meets lasts as long as the step, which no real clock does.)
"""

import mmap
import os
import runpy
import struct
import sys
import time
from pathlib import Path
from typing import Final

OFFSET: Final = struct.Struct("q")


def set_offset(path: Path, seconds: float) -> None:
    """From now on the clock of a program with this file is so much ahead; the file is made if it is not there."""
    # Overwritten in place: the program has it mapped.
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(file, OFFSET.pack(round(seconds * 1e9)), 0)
    os.close(file)


def _run(path: str, program: str) -> None:
    with Path(path).open("rb") as file:
        offset = mmap.mmap(file.fileno(), OFFSET.size, access=mmap.ACCESS_READ)
    true_time = time.time_ns

    def time_ns() -> int:
        return true_time() + int(OFFSET.unpack(offset)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
    del sys.argv[:2]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    _run(*sys.argv[1:3])
