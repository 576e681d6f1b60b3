"""What it costs to find a frame in a stream, for each framing: processor time in microseconds."""

import time
from typing import Final

import framed
from figures import Figure, say

from devices.framing import FRAMINGS, make_framing

CHUNK: Final = 4096
"""What the event loop reads at a time from a busy port."""

STREAM: Final = 1_000_000
CONTENT: Final = b"$t=21.5 h=40.25 p=1013"


def framing(bench: object = None) -> list[Figure]:  # noqa: ARG001 - asked of all measurements
    """Per frame, which is a reading or several, of some 22 bytes; and the processor's share at 921,600 baud."""
    kinds = {spec if isinstance(spec, str) else spec["kind"] for spec, *_ in framed.DEVICES.values()}
    if unmeasured := FRAMINGS.keys() - kinds:
        raise AssertionError(f"no device in framed.py for {', '.join(sorted(unmeasured))}")
    figures = []
    for name, device in framed.DEVICES.items():
        wire = device.send(device.frame(CONTENT))
        count = STREAM // len(wire)
        stream = wire * count
        cutter = make_framing(device.spec)
        began = time.process_time()
        found = [len(cutter.push(stream[at : at + CHUNK])) for at in range(0, len(stream), CHUNK)]
        took = time.process_time() - began
        if sum(found) != count:
            raise AssertionError(f"{name}: {sum(found)} frames of {count}")
        figures.append(Figure(f"framing {name}, {len(wire)} bytes, per frame", took / count * 1e6, "us"))
        figures.append(
            Figure(f"framing {name}, share of a core at 921,600 baud", took / len(stream) * 9_216_000, "%")
        )
    say(f"{len(figures)} figures of framings")
    return figures
