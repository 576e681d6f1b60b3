"""Sends into serial lines at a steady pace, from a process of its own so that it keeps it.

python serial_writer.py SECONDS DESCRIPTOR...
"""

import json
import os
import sys
import time
from typing import Final

PACE: Final = 92_160
"""Bytes per second of a line at 921,600 baud: a start bit, eight, a stop bit."""

SENSORS: Final = 5
TICK: Final = 0.005


def stream(port: int, size: int) -> bytes:
    """Lines as a fast logger sends them, some 45 bytes each, for so many bytes."""
    lines: list[bytes] = []
    while size > 0:
        n = len(lines)
        values = (n, 20 + n % 700 / 100, 40 + n % 30 / 10, 1013.25 - n % 50 / 20, 3.3 + port / 100)
        lines.append(b"n=%d t=%.2f h=%.1f p=%.2f u=%.3f\n" % values)
        size -= len(lines[-1])
    return b"".join(lines)


def send(seconds: int, descriptors: list[int]) -> dict[str, float]:
    """Send at the pace. As on a wire, what finds no room is lost, and counted."""
    streams = [stream(port, PACE * seconds) for port in range(len(descriptors))]
    for descriptor in descriptors:
        os.set_blocking(descriptor, False)
    began, at, refused, longest = time.monotonic(), 0, 0, max(map(len, streams))
    while at < longest:
        time.sleep(TICK)
        due = int((time.monotonic() - began) * PACE)
        for descriptor, whole in zip(descriptors, streams, strict=True):
            piece = whole[at:due]
            try:
                refused += len(piece) - os.write(descriptor, piece)
            except BlockingIOError:
                refused += len(piece)
        at = due
    return {
        "seconds": time.monotonic() - began,
        "bytes": sum(map(len, streams)) - refused,
        "refused": refused,
    }


if __name__ == "__main__":
    print(json.dumps(send(int(sys.argv[1]), [int(word) for word in sys.argv[2:]])))
