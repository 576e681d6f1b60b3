"""Two hours without Kafka, on the disk that holds the temporary files, and the drain afterwards."""

from typing import Final

from figures import Figure
from gatewayd import Bench
from kafka import KafkaServer
from outage import RATE, Story, seen, story

HOURS: Final = 2
DISK_BYTES: Final = 256_000_000
SMALL_DISK: Final = 32_000_000
"""Two hours need three times as much: the oldest has to go."""


def outage(bench: Bench) -> list[Figure]:
    """In half a minute, with room for all of it, drained at once; and with room for a third."""
    server = KafkaServer(bench.folder / "outage-kafka")
    try:
        server.start()
        roomy = story(bench.folder / "outage", 3600 * HOURS, DISK_BYTES, server.bootstrap)
        found = seen(server)
    finally:
        server.stop()
    small = story(bench.folder / "small", 3600 * HOURS, SMALL_DISK)
    wrong = abs(roomy.made - found.found) + found.repeated + found.reordered
    what = f"{HOURS} h without Kafka at {RATE:,}/s"
    return [
        Figure(f"{what}: growth of memory after two minutes", _growth(roomy), "MB", 5),
        Figure(f"{what}: bytes on disk", roomy.disk_peak / 1e6, "MB", DISK_BYTES / 1e6),
        Figure(f"{what}: bytes to the device per payload byte", roomy.written / roomy.payload, "", 0.35),
        Figure(f"{what}: of these, by others (from a look before)", roomy.others / roomy.payload, ""),
        Figure(f"{what}: drained, with {RATE:,}/s coming in", roomy.drained, "/s", 50_000, least=True),
        Figure(f"{what}: lost, repeated or out of order", wrong, "", 0),
        Figure(f"{what}: resident memory, the most (without MQTT)", roomy.memory_peak, "MB", 60),
        Figure(f"the same in {SMALL_DISK / 1e6:.0f} MB: growth of memory", _growth(small), "MB", 5),
        Figure(
            f"the same in {SMALL_DISK / 1e6:.0f} MB: bytes on disk",
            small.disk_peak / 1e6,
            "MB",
            SMALL_DISK / 1e6,
        ),
        Figure(
            f"the same in {SMALL_DISK / 1e6:.0f} MB: neither held nor counted as dropped",
            small.made - small.held - small.dropped,
            "",
            0,
        ),
    ]


def _growth(told: Story) -> float:
    return told.memory_late - told.memory_early
