"""What stands at an MQTT broker of the anomalies of each sensor."""

import json
import re
from typing import Any

import msgspec
import pytest
from detecting import NOON, SECOND
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from gateway.detect import board as board_module
from gateway.detect.board import Board
from gateway.detect.retained import (
    Names,
    discovery_of,
    discovery_topic,
    level,
    names,
    state_of,
    topic_of,
)
from gateway.wire import Anomaly

WHOSE = Names("pi-7", "boiler-7", "temperature")


def said(event: str, id_: str = "a", whose: Names = WHOSE, at: int = 0, **more: Any) -> Anomaly:
    fields = {
        "v": 1,
        "id": id_,
        "event": event,
        "rule": "limits",
        "grade": "alarm",
        **whose._asdict(),
        "value": 82.1,
        "sentence": f"{id_} {event}",
        "since": NOON,
        "time": NOON + at * SECOND,
        "spool": "s",
        "seq": 1,
        **more,
    }
    return msgspec.convert(fields, Anomaly)


def state(board: Board) -> dict[Names, dict[str, Any]]:
    """What is to be published."""
    return {one.whose: json.loads(state_of(one.whose, one.found, one.last)) for one in board.due()}


def board_of(*anomalies: Anomaly) -> Board:
    board = Board()
    board.begin(0)
    for offset, anomaly in enumerate(anomalies):
        board.take(0, offset, anomaly)
    board.end(0)
    return board


TEXT = st.text(st.characters(codec=None), max_size=8)
NAMES = st.builds(Names, TEXT, TEXT, TEXT)


@given(NAMES, NAMES)
def test_no_two_sensors_share_a_topic_and_each_is_one_of_four_levels(one: Names, other: Names) -> None:
    topic = topic_of("anomalies", one)
    assert (topic == topic_of("anomalies", other)) == (one == other)
    assert (discovery_topic("ha", one) == discovery_topic("ha", other)) == (one == other)
    assert topic.count("/") == 3
    assert not set(topic) & set("+#\0")
    assert topic.isprintable()
    assert all(topic.split("/"))
    topic.encode()
    assert topic_matches_sub("anomalies/+/+/+", topic)
    assert re.fullmatch(r"ha/binary_sensor/[a-zA-Z0-9_-]+/config", discovery_topic("ha", one))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Küche °C", "Küche °C"),
        ("a/b", "a%2Fb"),
        ("50%", "50%25"),
        ("+#", "%2B%23"),
        ("\0", "%00"),
        ("", "%"),
    ],
)
def test_what_a_topic_cannot_hold_is_escaped_and_the_rest_is_legible(name: str, expected: str) -> None:
    assert level(name) == expected


def test_a_sensor_with_an_open_anomaly_is_a_problem_and_one_without_is_well() -> None:
    board = board_of(said("raised", at=1, unit="°C", high=80.0, score=2.1))
    assert state(board) == {
        WHOSE: {
            "state": "problem",
            "grade": "alarm",
            "sentence": "a raised",
            "time": "2026-01-02T12:00:01.000+00:00",
            "gateway": "pi-7",
            "device": "boiler-7",
            "sensor": "temperature",
            "anomalies": [
                {
                    "id": "a",
                    "rule": "limits",
                    "grade": "alarm",
                    "sentence": "a raised",
                    "since": "2026-01-02T12:00:00.000+00:00",
                    "time": "2026-01-02T12:00:01.000+00:00",
                    "value": 82.1,
                    "unit": "°C",
                    "low": None,
                    "high": 80.0,
                    "score": 2.1,
                    "acknowledged": False,
                }
            ],
        }
    }
    board.take(0, 1, said("cleared", at=9))
    assert state(board) == {
        WHOSE: {
            "state": "ok",
            "sentence": "a cleared",
            "time": "2026-01-02T12:00:09.000+00:00",
            "gateway": "pi-7",
            "device": "boiler-7",
            "sensor": "temperature",
            "anomalies": [],
        }
    }


def test_of_several_the_gravest_and_newest_comes_first_and_each_goes_by_itself() -> None:
    board = board_of(
        said("raised", "spike", grade="advisory", since=NOON + 99),
        said("raised", "old"),
        said("raised", "new", since=NOON + 5),
        said("updated", "old"),
        said("acknowledged", "old"),
    )
    [found] = state(board).values()
    assert [(one["sentence"], one["acknowledged"]) for one in found["anomalies"]] == [
        ("new raised", False),
        ("old updated", True),
        ("spike raised", False),
    ]
    assert (found["sentence"], found["grade"]) == ("new raised", "alarm")
    board.take(0, 9, said("cleared", "new"))
    assert [one["id"] for one in state(board)[WHOSE]["anomalies"]] == ["old", "spike"]


@pytest.mark.parametrize("word", ["acknowledged", "fault"])
def test_what_people_say_shows_that_somebody_has_seen_it(word: str) -> None:
    [found] = state(board_of(said("raised"), said(word))).values()
    assert [one["acknowledged"] for one in found["anomalies"]] == [True]
    [found] = state(board_of(said("raised"), said("cleared"), said(word))).values()
    assert found["state"] == "ok"


def test_a_time_that_no_calendar_has_is_left_out() -> None:
    assert state(board_of(said("raised", time=2**63 - 1, since=-(2**63))))[WHOSE]["time"].startswith("2262")
    assert state(board_of(said("raised", time=-(2**63))))[WHOSE]["time"].startswith("1677")


def test_home_assistant_is_told_of_a_binary_sensor_in_a_device() -> None:
    found = json.loads(discovery_of("anomalies", WHOSE))
    assert found["device_class"] == "problem"
    assert found["state_topic"] == found["json_attributes_topic"] == "anomalies/pi-7/boiler-7/temperature"
    assert found["availability_topic"] == "anomalies/availability"
    assert found["unique_id"] in discovery_topic("homeassistant", WHOSE)
    assert found["device"]["name"] == "boiler-7 (pi-7)"
    assert found["name"] == "temperature anomaly"
    other = json.loads(discovery_of("anomalies", WHOSE._replace(sensor="pressure")))
    assert other["device"]["identifiers"] == found["device"]["identifiers"]
    assert other["unique_id"] != found["unique_id"]
    gateway = json.loads(discovery_of("anomalies", Names("pi-7", "", "")))
    assert (gateway["device"]["name"], gateway["state_topic"]) == ("Gateway pi-7", "anomalies/pi-7/%/%")


def test_nothing_of_the_past_is_published_before_the_topic_was_read_to_its_end() -> None:
    board = Board()
    board.begin(0)
    board.take(0, 0, said("raised"))
    assert board.due() == []
    assert board.low() == {}
    board.take(0, 1, said("cleared"))
    board.end(0)
    assert state(board)[WHOSE]["state"] == "ok"


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["raised", "raised", "updated", "acknowledged", "fault", "cleared", "accepted"]),
        st.sampled_from("abc"),
        st.sampled_from(["temperature", "pressure"]),
    ),
    min_size=1,
    max_size=40,
)


@given(EVENTS, st.lists(st.integers(0, 40), max_size=5))
def test_read_again_from_where_it_was_committed_it_knows_the_same(
    events: list[tuple[str, str, str]], restarts: list[int]
) -> None:
    """And nothing that was said is forgotten: what the broker has in the end is what an undisturbed reader would have left."""
    records = [
        said(event, f"{id_}-{sensor}", WHOSE._replace(sensor=sensor), at=place)
        for place, (event, id_, sensor) in enumerate(events)
    ]
    expected = state(board_of(*records))
    broker: dict[Names, dict[str, Any]] = {}
    committed = 0
    for end in [*sorted(min(place, len(records)) for place in restarts), len(records)]:
        board = Board()
        board.begin(0)
        for offset in range(committed, end):
            board.take(0, offset, records[offset])
            if offset % 3 == 0:
                board.end(0)
                broker.update(state(board))
                board.published(board.due())
                committed = board.low().get(0, committed)
        board.end(0)
        broker.update(state(board))
        board.published(board.due())
        committed = board.low().get(0, committed)
        assert state(board) == {}
    assert broker == expected


def test_what_is_published_while_more_comes_is_published_again() -> None:
    board = board_of(said("raised"))
    changes = board.due()
    board.take(0, 1, said("cleared"))
    board.published(changes)
    assert state(board)[WHOSE]["state"] == "ok"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_module, "MOST_OPEN", 10)
    monkeypatch.setattr(board_module, "MOST_WAITING", 5)
    board = Board()
    board.begin(0)
    for place in range(100):
        board.take(0, place, said("raised", f"{place}", WHOSE._replace(sensor=f"s{place}")))
        board.published(board.due())
    assert board.forgotten == 90
    assert board.low() in ({0: 90}, {})
    board.end(0)
    board.published(board.due())
    assert board.low() == {0: 90}


def test_partitions_that_are_another_members_are_forgotten() -> None:
    board = board_of(said("raised"))
    board.give_up(0)
    board.take(0, 5, said("raised", "b"))
    board.end(0)
    assert board.due() == []
    assert board.low() == {}


def test_names_are_those_of_the_anomaly() -> None:
    assert names(said("raised")) == WHOSE
