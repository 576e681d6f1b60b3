"""What the services serve says the same as the status and the log, and its series are few however many devices there are."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
from detecting import keyed, only, reading

from devices import registry
from devices.errors import DecodeError
from devices.framing.common import Counts
from devices.reading import Reading
from devices.source import Home, Origin
from gateway.clock import Clock
from gateway.config import DetectKafka, GatewayConfig
from gateway.detect import metrics as detect_metrics
from gateway.detect.bank import Bank
from gateway.detect.config import Limits
from gateway.detect.detect import Detect
from gateway.detect.share import Share
from gateway.forward import Forward
from gateway.ingest import Ingest
from gateway.kafka.consumer import Polled, ReadingsConsumer
from gateway.kafka.outlet import Outlet
from gateway.kafka.sink import Sink
from gateway.kafka.state import Found
from gateway.ledger import Ledger, SourceLedger
from gateway.metrics.gatewayd import LINK_COUNTS, families
from gateway.metrics.text import Family
from gateway.sources import SourceSpec
from gateway.spool import Batch, Spool
from gateway.status import Status
from gateway.testing import ScriptedSource, connects
from gateway.testing_fs import FaultFiles

FORWARD = cast("Forward", SimpleNamespace(unclean_stops=2, last_delivery=0.0))
SINK = cast("Sink", SimpleNamespace(link=SimpleNamespace(reachable=None, since=0.0, trouble="")))

Samples = dict[str, dict[tuple[str, ...], float]]


def samples(found: list[Family]) -> Samples:
    """By name and the values of the labels; no name and no labels may come twice."""
    assert len({one.name for one in found}) == len(found)
    result: Samples = {}
    for one in found:
        result[one.name] = {tuple(labels.values()): value for labels, value in one.samples}
        assert len(result[one.name]) == len(one.samples), one
    return result


class Station:
    """The status of a gateway with one source, without its processes."""

    def __init__(self) -> None:
        config = GatewayConfig({"plant": {"kind": "mqtt"}})
        clock, self.ledger = Clock(trusted=True), Ledger()
        spool = Spool(config.spool, self.ledger, FaultFiles())
        self.source = ScriptedSource(connects, name="plant")
        ingest = Ingest([SourceSpec(self.source)], spool, self.ledger, config.ingest, "pi-7", clock=clock)
        self.ingest = ingest
        self.status = Status(config, "pi-7", self.ledger, ingest, spool, clock=clock)

    def report(self) -> dict[str, Any]:
        return self.status.report(FORWARD, SINK)

    def samples(self) -> Samples:
        return samples(families(self.report()))


def test_counters_begin_at_0_with_the_process_whatever_was_on_disk_and_whatever_kafka_remembers() -> None:
    station = Station()
    station.ledger.found({"plant": 700, "old": 5})
    before = station.samples()
    station.ledger.resume({"plant": SourceLedger(received=9000, decoded=9000, made=9000, delivered=9000)})
    station.ledger.delivered({"plant": 700})
    station.ledger.source("plant").made += 3
    after = station.samples()

    for name in ("gateway_readings_total", "gateway_readings_delivered_total"):
        assert before[name] == {("plant",): 0, ("old",): 0}
    assert after["gateway_readings_total"]["plant",] == 3
    assert after["gateway_readings_delivered_total"]["plant",] == 700
    assert after["gateway_payloads_total"]["plant", "decoded"] == 0


def test_what_was_dropped_or_refused_is_counted_by_reason_from_0_on() -> None:
    station = Station()
    reasons = station.samples()["gateway_readings_dropped_total"]
    assert set(reasons.values()) == {0}
    station.ledger.dropped({"plant": 4}, "drop-oldest")
    station.ledger.refused("plant")
    found = station.samples()

    assert found["gateway_readings_dropped_total"] == {**reasons, ("plant", "drop-oldest"): 4}
    assert found["gateway_readings_refused_total"] == {("plant",): 1}


def refuses(_data: bytes, _origin: Origin, _received: int) -> list[Reading]:
    raise DecodeError("no number")


def stranger(_data: bytes, origin: Origin, received: int) -> list[Reading]:
    return [Reading("pump", "flow", 1.0, received, origin.source, received)]


def test_dead_letters_are_counted_by_what_was_wrong() -> None:
    station = Station()
    [intake] = station.ingest.intakes
    intake.allow(["boiler-*"])
    intake._batch = lambda _source, _receipt: Batch()  # no event loop for its timer
    for decode in (refuses, stranger, stranger):
        intake.payload(b"?", Origin("plant", "plant/pump", "", "", decode))
    for _ in range(3):
        intake.reject(b"?", Origin("plant", "plant/pump", "", "", refuses), "too large", 1)
    [shown] = station.report()["sources"]

    assert station.samples()["gateway_dead_letters_total"] == {
        ("plant", "undecoded"): 1,
        ("plant", "unknown device"): 2,
        ("plant", "damaged"): 3,
    }
    assert sum(shown["dead_letters_by_reason"].values()) == shown["dead_letters"] == 6


def test_what_is_not_known_has_no_sample_and_what_is_known_has_its_value() -> None:
    station = Station()
    station.source.counts["messages"] = 8
    found = station.samples()

    assert found["gateway_source_last_reading_age_seconds"] == {}
    assert found["gateway_source_checksum_errors_total"] == {}
    assert found["gateway_source_messages_total"] == {("plant",): 8}
    assert found["gateway_kafka_reachable"] == {(): 0}
    assert found["gateway_unclean_stops"] == {(): 2}
    assert found["gateway_health"] == {("healthy",): 0, ("degraded",): 0, ("down",): 1}


def test_every_count_of_every_source_has_a_name() -> None:
    home = Home("pi-7")
    mqtt = registry.open_source("m", {"kind": "mqtt", "broker": "b", "topics": ["a/{device}/{sensor}"]}, home)
    serial = registry.open_source("s", {"kind": "serial", "port": "/dev/ttyUSB0"}, home)

    assert serial.counts.keys() == {*(field.name for field in msgspec.structs.fields(Counts)), "connects"}
    assert LINK_COUNTS.keys() == serial.counts.keys() | mqtt.counts.keys()


def test_devices_make_no_series() -> None:
    station = Station()
    few = sum(len(one) for one in station.samples().values())
    roll = station.ingest.presence.rolls["plant"]
    for number in range(500):
        roll.add(f"device-{number}", 1.0)
    found = station.samples()

    assert found["gateway_source_devices"] == {("plant",): 500}
    assert sum(len(one) for one in found.values()) == few


class Post:
    """A gateway-detect with one partition, without Kafka."""

    def __init__(self) -> None:
        config = only(limits=Limits(high=80.0))
        consumer = cast("ReadingsConsumer", SimpleNamespace(unreadable=3, ends={0: 120}))
        outlet = SimpleNamespace(name="", link=SimpleNamespace(reachable=True))
        self.outlet = cast("Outlet", outlet)
        self.detect = Detect(config, lambda: Bank(config), consumer, self.outlet, lambda: None)
        self.share = Share(DetectKafka(), 0, Bank(config), Found({}, None, 0, 100), "earliest")
        self.detect._shares[0] = self.share

    def samples(self) -> Samples:
        return samples(detect_metrics.families(self.detect, self.outlet, "gateway-detect"))


def test_detection_serves_what_its_log_sums_up() -> None:
    post = Post()
    values: list[float | str] = [20.0, 99.0, "warm", 99.5, 21.0, 99.0]
    post.share.judge(Polled(0, keyed(reading(value, at, seq=at + 1) for at, value in enumerate(values)), 6))
    found, totals = post.samples(), post.detect.totals()

    assert found["gateway_detect_readings_total"] == {(): totals["judged"]} == {(): 5}
    dropped = found["gateway_detect_readings_not_judged_total"]
    assert dropped == {(reason,): totals[reason] for reason in detect_metrics.NOT_JUDGED}
    assert (dropped["not_numeric",], dropped["unreadable",]) == (1, 3)
    assert found["gateway_detect_anomalies_open"] == {("alarm",): totals["open"], ("advisory",): 0}
    assert totals["open"] == 1
    assert found["gateway_detect_sensors"] == {(): 1}
    assert found["gateway_detect_partitions"] == {("judged",): 1, ("restoring",): 0}
    assert found["gateway_detect_lag_records"] == {("0",): 114}


def test_the_lag_is_0_at_the_end_and_is_not_there_before_kafka_has_told_it() -> None:
    post = Post()
    post.share.judge(Polled(0, [], 0, end=120))
    assert post.samples()["gateway_detect_lag_records"] == {("0",): 0}

    for ends in ({}, {0: -1001}):
        post.detect._consumer.ends = ends
        assert post.samples()["gateway_detect_lag_records"] == {}


def test_each_rule_stands_at_0_before_it_speaks() -> None:
    post = Post()
    before = post.samples()["gateway_detect_anomaly_events_total"]
    post.detect.events["limits", "raised"] += 1
    after = post.samples()["gateway_detect_anomaly_events_total"]

    assert set(before.values()) == {0}
    assert after == {**before, ("limits", "raised"): 1}
    assert {"spike", "silence", "storm", "gateway-silence"} < {rule for rule, _ in before}
