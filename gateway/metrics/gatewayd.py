"""The metrics of gatewayd: the report behind `gatewayctl status --json`, and nothing else, under other names.

Labels are sources, reasons and states: a few of each, however many devices there are. docs/metrics.md has the table.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.metrics import process
from gateway.metrics.text import Family, Labels, one, states

HEALTH: Final = ("healthy", "degraded", "down")
LINK_STATES: Final = ("connecting", "connected", "lost", "refused", "ended")
DROPPED: Final = ("drop-oldest", "drop-newest", "block", "damaged", "unsent at stop")
"""All there are, so that each stands at 0 before it happens for the first time, and what it counts then is a rise."""

LINK_COUNTS: Final[Mapping[str, tuple[str, str]]] = {
    "bytes": ("received_bytes", "Bytes that came over a serial line."),
    "damaged_bytes": ("damaged_bytes", "Bytes that were in no good frame."),
    "frames": ("frames", "Good frames."),
    "checksum_errors": ("checksum_errors", "Whole frames with a wrong checksum."),
    "malformed": ("malformed_frames", "What looks like a frame and cannot be one."),
    "too_long": ("too_long_frames", "Frames of more than max_frame bytes."),
    "cut_short": ("cut_short_frames", "Half frames."),
    "resyncs": ("resyncs", "Good frames found behind damage."),
    "messages": ("messages", "MQTT messages that came."),
    "redelivered": ("redelivered_messages", "MQTT messages that the broker sent before."),
    "retained": ("retained_messages", "MQTT messages that the broker had kept."),
    "too_large": ("too_large_messages", "MQTT messages of more than max_payload bytes."),
    "unmatched": ("unmatched_messages", "MQTT messages whose topic fits none, or names no device."),
    "connects": ("connects", "How often the port was opened, or the broker connected and subscribed."),
}
"""By count of a source (docs/status.md), the middle of its name here and what it is."""

Source = Mapping[str, Any]


def families(report: Mapping[str, Any]) -> list[Family]:
    """All of them, from what Status.report() says."""
    return [
        *_gateway(report),
        *_sources(report["sources"]),
        *_counters(report),
        *_spool(report),
        *_kafka(report["kafka"]),
        *process.families(),
    ]


def _gateway(report: Mapping[str, Any]) -> Iterator[Family]:
    gateway, ledger = report["gateway"], report["ledger"]
    labels = {"gateway": gateway["id"], "version": gateway["version"]}
    yield one("gateway_info", "Always 1: which gateway it is, and its version.", 1, labels)
    yield one("gateway_uptime_seconds", "Since gatewayd started.", gateway["uptime_s"])
    yield Family(
        "gateway_health",
        "gauge",
        "1 for the health that gatewayctl status shows, 0 for the others.",
        states({}, report["health"], HEALTH),
    )
    yield one(
        "gateway_reasons",
        "How many reasons gatewayctl status has for not being healthy.",
        len(report["reasons"]),
    )
    yield one(
        "gateway_clock_synchronised",
        "1: the times of new readings are known to be right.",
        report["clock"]["synchronised"],
    )
    yield one("gateway_ledger_balanced", "1: every payload and reading is accounted for.", ledger["balanced"])
    yield one("gateway_unclean_stops", "Runs so far that were killed or lost power.", ledger["unclean_stops"])


def _sources(sources: list[Source]) -> Iterator[Family]:
    yield Family(
        "gateway_source_info",
        "gauge",
        "Always 1: its kind.",
        [({"source": one["name"], "kind": one["kind"]}, 1) for one in sources],
    )
    yield Family(
        "gateway_source_state",
        "gauge",
        "1 for the state of the connection, 0 for the others.",
        [row for one in sources for row in states({"source": one["name"]}, one["state"], LINK_STATES)],
    )
    for key, name, about in (
        ("for_s", "state_age_seconds", "For how long it has been in its state."),
        ("silent", "silent", "1: connected, and no reading comes."),
        ("waiting", "waiting", "1: made to wait, as there is no room for more readings."),
        ("standing_in", "standing_in", "1: simulated readings take its place."),
        (
            "last_reading_age_s",
            "last_reading_age_seconds",
            "Since its last reading; not there before the first.",
        ),
        ("devices", "devices", "Devices that were heard."),
        ("devices_silent", "devices_silent", "Of these, the silent ones."),
        ("devices_missing", "devices_missing", "Devices that the configuration names and nobody heard."),
    ):
        yield _by_source(name, about, [(one["name"], one[key]) for one in sources])
    yield _by_source(
        "devices_forgotten_total",
        "Devices forgotten, to make room or after a day of silence.",
        [(one["name"], one["devices_forgotten"]) for one in sources],
    )
    for key, (name, about) in LINK_COUNTS.items():
        yield _by_source(f"{name}_total", about, [(one["name"], one["counts"].get(key)) for one in sources])


def _by_source(name: str, about: str, values: list[tuple[str, float | None]]) -> Family:
    """A sample for each source that has this value."""
    samples: list[tuple[Labels, float]] = [
        ({"source": source}, number) for source, number in values if number is not None
    ]
    return Family(f"gateway_source_{name}", "counter" if name.endswith("_total") else "gauge", about, samples)


def _counters(report: Mapping[str, Any]) -> Iterator[Family]:
    made = report["since_start"]
    yield _counter(
        "gateway_payloads_total",
        "Payloads received, by what became of them: decoded, ignored, dead_lettered.",
        [
            ({"source": name, "outcome": outcome}, count)
            for name, one in made.items()
            for outcome, count in one["payloads"].items()
        ],
    )
    yield _counter(
        "gateway_dead_letters_total",
        "Payloads that became dead letters, by what was wrong with them.",
        [
            ({"source": one["name"], "reason": reason}, count)
            for one in report["sources"]
            for reason, count in one["dead_letters_by_reason"].items()
        ],
    )
    yield _counter(
        "gateway_dead_letters_dropped_total",
        "Dead letters given up as there was no room for them.",
        [({"source": name}, one["dead_letters_dropped"]) for name, one in made.items()],
    )
    for key, name, about in (
        ("made", "gateway_readings_total", "Readings made."),
        ("delivered", "gateway_readings_delivered_total", "Readings that Kafka has acknowledged."),
        ("refused", "gateway_readings_refused_total", "Readings that Kafka will never take."),
    ):
        yield _counter(
            name, about, [({"source": source}, one["readings"][key]) for source, one in made.items()]
        )
    yield _counter(
        "gateway_readings_dropped_total",
        "Readings given up, by reason.",
        [
            ({"source": name, "reason": reason}, count)
            for name, one in made.items()
            for reason, count in (dict.fromkeys(DROPPED, 0) | one["readings"]["dropped"]).items()
        ],
    )


def _counter(name: str, about: str, samples: list[tuple[Labels, float]]) -> Family:
    return Family(name, "counter", about, samples)


def _spool(report: Mapping[str, Any]) -> Iterator[Family]:
    spool, ledger = report["spool"], report["ledger"]["sources"]
    yield Family(
        "gateway_spool_readings",
        "gauge",
        "Readings that wait for Kafka, by where.",
        [
            ({"source": name, "where": where}, row["readings"][key])
            for name, row in ledger.items()
            for where, key in (("disk", "spooled"), ("memory", "in_memory"))
        ],
    )
    on_disk = spool["dead_letters_on_disk"]
    yield Family(
        "gateway_spool_dead_letters",
        "gauge",
        "Dead letters that wait for Kafka, by where.",
        [({"where": "disk"}, on_disk), ({"where": "memory"}, spool["dead_letters"] - on_disk)],
    )
    for key, about in (
        ("bytes", "Taken on disk."),
        ("capacity_bytes", "What it may take on disk: spool.disk_bytes."),
        ("memory_bytes", "Taken in memory."),
        ("memory_capacity_bytes", "What it may take in memory: spool.memory_bytes."),
        ("segments", "Files on disk."),
        ("quarantine_copies", "Copies of damaged frames, of this run and of earlier ones."),
    ):
        yield one(f"gateway_spool_{key}", about, spool[key])
    yield one(
        "gateway_spool_disk_trouble", "1: the disk is full, read-only or broken.", bool(spool["trouble"])
    )
    yield one(
        "gateway_spool_oldest_age_seconds",
        "Age of the oldest reading that waits; 0: none does.",
        spool["oldest_age_s"] or 0,
    )
    yield one(
        "gateway_spool_lasts_seconds",
        "How long there is room if Kafka takes nothing, at the present rate; not there while nothing comes.",
        spool["lasts_s"],
    )
    yield _counter("gateway_spool_quarantined_total", "Damaged frames found.", [({}, spool["quarantined"])])


def _kafka(kafka: Mapping[str, Any]) -> Iterator[Family]:
    yield one("gateway_kafka_reachable", "1: Kafka answers; 0: not, or not yet.", kafka["reachable"] is True)
    yield one("gateway_kafka_state_age_seconds", "For how long that has been so.", kafka["for_s"])
    yield one(
        "gateway_kafka_last_delivery_age_seconds",
        "Since Kafka last took readings; not there before the first.",
        kafka["last_delivery_age_s"],
    )
