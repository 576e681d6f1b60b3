"""The metrics of gateway-detect: what it counts anyway, and what its log sums up, for Prometheus.

Labels are rules, grades, reasons and partitions: a few of each, however many sensors there are. docs/metrics.md has the table.
"""

import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Final, get_args

from gateway.detect.detect import Detect
from gateway.detect.events import type_of_event
from gateway.detect.gateways import RULE as GATEWAY_SILENCE
from gateway.detect.heard import Heard
from gateway.detect.rules import all_rules
from gateway.detect.rules.silence import Silence
from gateway.detect.storms import RULE as STORM
from gateway.kafka.outlet import Outlet
from gateway.metrics import process
from gateway.metrics.text import Family, one

RULES: Final = (*sorted({rule.name for rule in all_rules(Silence(Heard()))}), GATEWAY_SILENCE, STORM)
"""All there are, so that each stands at 0 before it speaks for the first time."""

NOT_JUDGED: Final = (
    "not_numeric",
    "retained",
    "recovered",
    "repeated",
    "late",
    "replayed",
    "unnamed",
    "unreadable",
)
"""Why a record was not judged: see bank.Counts; unreadable: it is no reading."""

_STARTED: Final = time.monotonic()


def families(detect: Detect, outlet: Outlet, group: str) -> list[Family]:
    """All of them."""
    return [
        *_service(outlet, group),
        *_readings(detect.totals()),
        *_anomalies(detect),
        *_partitions(detect),
        *process.families(),
    ]


def _service(outlet: Outlet, group: str) -> Iterator[Family]:
    labels = {"group": group, "version": version("iot-edge-gateway")}
    yield one("gateway_detect_info", "Always 1: the consumer group, and the version.", 1, labels)
    yield one("gateway_detect_uptime_seconds", "Since it started.", round(time.monotonic() - _STARTED, 1))
    reachable = outlet.link.reachable is True
    yield one("gateway_detect_kafka_reachable", "1: Kafka answers; 0: not, or not yet.", reachable)


def _readings(totals: Mapping[str, int]) -> Iterator[Family]:
    yield _counter("gateway_detect_readings_total", "Readings judged by the rules.", totals.get("judged", 0))
    yield Family(
        "gateway_detect_readings_not_judged_total",
        "counter",
        "Records that were not judged, by reason.",
        [({"reason": reason}, totals.get(reason, 0)) for reason in NOT_JUDGED],
    )
    yield one("gateway_detect_sensors", "Sensors remembered.", totals["sensors"])
    for key, name, about in (
        ("forgotten", "sensors_forgotten", "Sensors that had to make room for others: max_sensors."),
        ("unit_changed", "sensors_unit_changed", "Sensors learnt anew as their unit became another one."),
        ("unusable", "state_rows_unusable", "Rows of the state topic that could not be restored."),
        ("refused", "records_refused", "Records that Kafka refused for good."),
    ):
        yield _counter(f"gateway_detect_{name}_total", about, totals.get(key, 0))


def _anomalies(detect: Detect) -> Iterator[Family]:
    yield Family(
        "gateway_detect_anomalies_open",
        "gauge",
        "Anomalies open now, storms apart, by grade.",
        [({"grade": grade}, count) for grade, count in detect.open_by_grade().items()],
    )
    known = dict.fromkeys(
        ((rule, event) for rule in RULES for event in get_args(type_of_event)),
        0,
    )
    yield Family(
        "gateway_detect_anomaly_events_total",
        "counter",
        "Records of anomalies written to Kafka, by rule and event.",
        [({"rule": rule, "event": event}, count) for (rule, event), count in (known | detect.events).items()],
    )


def _partitions(detect: Detect) -> Iterator[Family]:
    lag = detect.lag()
    yield Family(
        "gateway_detect_partitions",
        "gauge",
        "Partitions of the readings that this process has, by state: judged, or still being restored.",
        [({"state": "judged"}, len(lag)), ({"state": "restoring"}, detect.restoring)],
    )
    yield Family(
        "gateway_detect_lag_records",
        "gauge",
        "Records between what was judged and the end of the partition; not there before Kafka has told.",
        [({"partition": str(number)}, behind) for number, behind in sorted(lag.items()) if behind >= 0],
    )
    yield Family(
        "gateway_detect_writes_total",
        "counter",
        "Writes of anomalies, state and position, a transaction each unless delivery is at-least-once; failed ones are repeated.",
        [({"outcome": "written"}, detect.writes), ({"outcome": "failed"}, detect.failed_writes)],
    )


def _counter(name: str, about: str, value: int) -> Family:
    return Family(name, "counter", about, [({}, value)])
