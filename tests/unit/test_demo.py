import argparse
from pathlib import Path
from typing import Any

import msgspec
import pytest
from waiting import wait_until

from devices.simulator.faults import Truth
from devices.source import Home
from gateway.cli.demo import configs
from gateway.cli.demo.process import Process
from gateway.cli.demo.score import GRACE, Report, Score
from gateway.cli.demo.trouble import DemoError
from gateway.cli.lengths import seconds
from gateway.config import GatewayConfig, load
from gateway.detect.config import load_detect
from gateway.sources import open_sources
from gateway.wire import Anomaly

SECOND = 1_000_000_000
TRUTH = Truth("line", "press-1", "temperature", "spike", 100 * SECOND, 101 * SECOND, 2.0, "spike of +2.00 °C")
RAISED = Anomaly(
    1,
    "a",
    "raised",
    "spike",
    "alarm",
    "demo",
    "press-1",
    "temperature",
    23.0,
    "said",
    100 * SECOND,
    1,
    "s",
    1,
)
GOOD = Report(
    received=12,
    delivered=7,
    spooled=2,
    dead_lettered=1,
    dropped=2,
    anomalies_raised=3,
    faults_injected=2,
    faults_found=1,
    read_back=7,
    balanced=True,
)


@pytest.mark.parametrize("anomaly_first", [True, False])
@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, 1),
        ({"since": TRUTH.end + GRACE}, 1),
        ({"since": TRUTH.start - 1}, 0),
        ({"since": TRUTH.end + GRACE + 1}, 0),
        ({"device": "press-2"}, 0),
        ({"sensor": "humidity"}, 0),
        ({"event": "cleared"}, 0),
    ],
)
def test_a_fault_is_found_by_an_anomaly_raised_while_it_lasts_at_its_sensor(
    changes: dict[str, Any], found: int, *, anomaly_first: bool
) -> None:
    score = Score()
    anomaly = msgspec.structs.replace(RAISED, **changes)

    if anomaly_first:
        score.anomaly(anomaly)
        score.fault(TRUTH)
    else:
        score.fault(TRUTH)
        score.anomaly(anomaly)

    assert (score.injected, score.found) == (1, found)


def test_a_fault_found_twice_counts_once() -> None:
    score = Score()
    score.fault(TRUTH)
    score.anomaly(RAISED)
    score.anomaly(RAISED)

    assert (score.raised, score.found) == (2, 1)


def test_the_report_adds_up_the_sources_of_the_ledger() -> None:
    source = {
        "payloads": {"received": 5, "decoded": 3, "ignored": 1, "dead_lettered": 1},
        "readings": {
            "made": 10,
            "delivered": 4,
            "spooled": 1,
            "in_memory": 2,
            "refused": 1,
            "dropped": {"full": 1, "age": 1},
        },
    }
    score = Score()
    score.read_back = 8

    report = score.report({"sources": {"plant": source, "line": source}, "balanced": True})

    assert report == Report(
        received=22,
        delivered=8,
        spooled=6,
        dead_lettered=4,
        dropped=4,
        anomalies_raised=0,
        faults_injected=0,
        faults_found=0,
        read_back=8,
        balanced=True,
    )
    assert report.problems() == ["no fault was injected yet: let the demo run for 30 s or longer"]


def test_a_good_run_has_no_problems() -> None:
    assert GOOD.problems() == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"balanced": False}, "gatewayd says that its ledger does not balance"),
        ({"received": 13}, "13 were received, but 12 are accounted for"),
        ({"received": 5, "delivered": 0, "read_back": 0}, "nothing was delivered"),
        ({"read_back": 6}, "7 were delivered, but 6 are in Kafka"),
        ({"read_back": 8}, "7 were delivered, but 8 are in Kafka"),
        ({"faults_found": 0}, "none of the injected faults was found"),
    ],
)
def test_whatever_does_not_add_up_is_a_problem(changes: dict[str, Any], problem: str) -> None:
    assert msgspec.structs.replace(GOOD, **changes).problems() == [problem]


def test_the_programs_accept_the_files_of_the_demo_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / 'a "strange" folder'
    folder.mkdir()

    files = configs.write(folder, "127.0.0.1:9092", "/dev/pts/7")

    specs = open_sources(load(files.gateway, GatewayConfig), files.gateway, Home("demo"))
    assert [spec.source.name for spec in specs] == [configs.PLANT, configs.LINE]
    assert len(load_detect(files.detect).rules) == 3


@pytest.mark.parametrize(("text", "length"), [("30s", 30), ("2m", 120), ("1h", 3600), ("0.5s", 0.5)])
def test_lengths_of_time_are_understood(text: str, length: float) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "30", "s", "-3s", "0s", "1d", "1e3s", "30s "])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write it as 30s"):
        seconds(text)


PATIENT = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("up", flush=True)
signal.pause()
"""


def test_a_program_that_was_stopped_did_not_end_by_itself_and_one_that_ended_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "patient.py").write_text(PATIENT)
    (tmp_path / "hasty.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Process("patient", "patient", tmp_path / "c", tmp_path) as patient:
        wait_until(patient.log.read_text, "it to be up")
        patient.check()
        patient.stop()
        patient.check()

    def ended() -> bool:
        try:
            hasty.check()
        except DemoError as error:
            return "hasty ended by itself with exit code 0" in str(error)
        return False

    with Process("hasty", "hasty", tmp_path / "c", tmp_path) as hasty:
        wait_until(ended, "its end to be seen")
