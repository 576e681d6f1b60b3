"""What it costs to note whose readings are in a batch: processor time in nanoseconds per reading."""

import time
from typing import Final

from figures import Figure, say
from heard import Hall, batch_of

ROUNDS: Final = 400


def presence(bench: object = None) -> list[Figure]:  # noqa: ARG001 - asked of all measurements
    """Batches of 1,000 readings, ten a second, of few and of many devices, of one and of three sources."""
    figures = []
    for sources, devices in ((1, 50), (3, 50), (1, 1000)):
        names = [f"source-{number}" for number in range(sources)]
        hall = Hall(*names)
        batch = batch_of(*[(names[n % sources], f"device-{n % devices:04}") for n in range(1000)])
        began = time.process_time()
        for number in range(ROUNDS):
            hall.presence.heard(batch, hall.now + number / 10)
            hall.presence.tick(hall.now + number / 10, hall.feeds)
        took = time.process_time() - began
        what = (
            f"{devices} devices of {sources} sources" if sources > 1 else f"{devices} devices of one source"
        )
        figures.append(Figure(f"presence, {what}, per reading", took / ROUNDS / 1000 * 1e9, "ns"))
    say(f"{len(figures)} figures of presence")
    return figures
