"""What the laboratory sees and draws: parts that its counts rest on."""

import random
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from detect_fleet import LOOSE, TOLD, Fleet
from detect_terms import Terms, compared
from kafka_requests import RequestWatch
from laboratory import draw
from pty_port import SerialLine
from report import markdown, plain
from result import Result, Run
from tally import Tally

from gateway import wire
from gateway.wire import codec


def request(kind: int, size: int = 20) -> bytes:
    return (size + 2).to_bytes(4) + kind.to_bytes(2) + b"x" * size


@pytest.mark.parametrize("piece", [1, 5, 1000])
def test_the_watched_request_is_heard_once_and_before_it_is_passed_on(piece: int) -> None:
    watch, heard = RequestWatch(), []
    hear = watch.connection()
    watch.on(26, lambda: heard.append("end"))
    stream = request(0) + request(24, 0) + request(26) + request(26)
    for start in range(0, len(stream), piece):
        hear(True, stream[start : start + piece])
    hear(False, request(26))
    assert heard == ["end"]


def test_every_fault_comes_up_equally_often_and_the_seed_says_in_which_order() -> None:
    names = ["kill", "cut", "flip"]
    drawn = list(islice(draw(names, random.Random(5)), 30))
    assert Counter(drawn) == dict.fromkeys(names, 10)
    assert drawn == list(islice(draw(names, random.Random(5)), 30))
    assert drawn != list(islice(draw(names, random.Random(6)), 30))


def test_a_tally_counts_by_device_and_number() -> None:
    tally = Tally()
    assert [tally.add("a", 5000), tally.add("a", 5000), tally.add("b", 0)] == [0, 1, 0]
    assert [tally.get("a", 5000), tally.get("a", 1), tally.get("a", 10**6), tally.get("c", 0)] == [2, 0, 0, 0]


def test_a_run_is_the_same_after_it_was_saved(tmp_path: Path) -> None:
    run = Run(
        7, 2, {"spill_after": 1.0}, {"cores": 2}, [Result(1, "kill", complaints=["late"], recovery=1.5)]
    )
    run.save(tmp_path / "runs" / "faults-7.json")
    assert Run.load(tmp_path / "runs" / "faults-7.json") == run


def test_faults_that_could_not_be_tried_say_why_in_the_table() -> None:
    results = [Result(1, "disk full", unavailable="needs root"), Result(2, "cut", recovery=2.25)]
    assert "needs root" in plain(results)
    assert "| cut | 1 | 0 | 0 |" in markdown(results)


def said(event: str, rule: str = "silence", **more: Any) -> wire.Anomaly:
    fields = {
        "v": 1,
        "id": "i1",
        "event": event,
        "rule": rule,
        "grade": "alarm",
        "gateway": "gw-1",
        "device": "d",
    }
    fields |= {"sensor": "s", "value": 1.0, "sentence": "", "since": 0, "time": 0, "spool": "", "seq": 0}
    return msgspec.convert(fields | more, wire.Anomaly)


def test_the_same_seed_sends_the_same_readings() -> None:
    first, again, other = ([*Fleet(seed).step()] for seed in ("1", "1", "2"))
    assert first == again != other
    assert sum(map(len, first)) > 200


def test_what_is_told_when_somebody_looks_is_compared_on_its_own_terms() -> None:
    assert compared(said("raised", "spike")) == said("raised", "spike")
    assert compared(said("raised", "spike", gateway=LOOSE, storm="s1")) == said(
        "raised", "spike", gateway=LOOSE
    )
    assert compared(said("raised", "storm")) is not None
    for other in (said("raised"), said("cleared", "storm"), said("acknowledged", "spike")):
        assert compared(other) is None
    assert compared(said("raised", "spike", device=f"{TOLD}0")) is None


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        (["raised", "updated", "updated", "cleared", "acknowledged"], ""),
        (["raised", "raised"], "silence i1 was raised 2 times"),
        (["raised", "cleared", "cleared"], "silence i1 was cleared 2 times"),
        (["cleared"], "silence i1 was cleared and not raised"),
        (["raised", "cleared", "updated"], "silence i1 was updated after it was cleared"),
        (["raised", "acknowledged", "acknowledged"], "silence i1 was acknowledged 2 times"),
    ],
)
def test_on_its_own_terms_everything_is_said_once_and_in_order(events: list[str], problem: str) -> None:
    terms = Terms()
    assert [found for event in events if (found := terms.take(said(event)))] == ([problem] if problem else [])


def test_a_command_is_answered_unless_another_anomaly_took_its_place() -> None:
    terms, asked = Terms(), ("i1", "accept")
    terms.raised(said("raised"))
    assert (terms.answered(asked), terms.overtaken(asked)) == (False, False)
    terms.raised(said("raised", id="i2"))
    assert terms.overtaken(asked)
    terms.take(said("raised"))
    terms.take(said("cleared", sentence="accepted as normal by me: so it is"))
    assert terms.answered(asked)


def test_a_full_or_unplugged_line_takes_nothing_and_blocks_nobody(tmp_path: Path) -> None:
    with SerialLine(tmp_path) as line:
        taken = 0
        while step := line.offer(b"x" * 1000):
            taken += step
        assert taken > 1000
        line.hang_up()
        assert line.offer(b"x") == 0
        line.plug_in()
        assert line.offer(b"x") == 1


def test_the_judge_relies_on_these_words_of_a_record() -> None:
    reading = wire.Reading(1, "pi-7", "s", 1, "plant", "press-1", "count", 0, 0, 1, "", ("redelivered",))
    assert b'"flags":["redelivered"]' in codec._ENCODER.encode(reading)
