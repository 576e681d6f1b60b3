"""What the configuration as it is makes of dead letters."""

from pathlib import Path
from typing import Any

import pytest
import replaying

from devices.reading import Quality
from gateway import wire
from gateway.config import GatewayConfig, load
from gateway.letters import Letter, Place
from gateway.recovery import Made, Recovery, Unrecoverable

SOURCES = """
[sources.line]
kind = "serial"
port = "/dev/null"
device = "boiler"
devices = ["boiler"]
decoder = { kind = "keyvalue", device_key = "from" }

[sources.table]
kind = "serial"
port = "/dev/null"
decoder = { kind = "csv", header = "a" }

[sources.plant]
kind = "mqtt"
broker = "localhost"
topics = ["plant/{device}/{sensor}"]
max_payload = 100

[sources.old]
kind = "replay"
file = "/dev/null"

[sources.all]
kind = "mqtt"
broker = "localhost"
topics = ["#"]
"""


@pytest.fixture
def recovery(tmp_path: Path) -> Recovery:
    path = tmp_path / "gateway.toml"
    path.write_text(SOURCES)
    return Recovery(load(path, GatewayConfig), path, "pi-7")


def made(recovery: Recovery, payload: bytes, **changes: Any) -> Made:
    return recovery.make(Letter(Place(3, 14), 0, replaying.letter(1, payload, **changes)))


def why(recovery: Recovery, payload: bytes, **changes: Any) -> str:
    with pytest.raises(Unrecoverable) as raised:
        made(recovery, payload, **changes)
    return f"{raised.value.why}: {raised.value}"


def test_readings_have_the_time_of_their_letter_and_the_names_of_today(recovery: Recovery) -> None:
    [one] = made(recovery, b"t=21.5").readings
    assert (one.device, one.sensor, one.value, one.source) == ("boiler", "t", 21.5, "line")
    assert one.time == one.received == replaying.RECEIVED + 1
    assert one.quality == Quality.RECOVERED

    [one] = made(recovery, b"21.5", source="plant", place="plant/press/force").readings
    assert (one.device, one.sensor, one.value) == ("press", "force", 21.5)


def test_what_was_known_of_the_letter_is_known_of_its_readings(recovery: Recovery) -> None:
    [one] = made(recovery, b"t=1", flags=("clock_unset", "retained", "of a later version")).readings

    assert one.quality == Quality.RECOVERED | Quality.CLOCK_UNSET | Quality.RETAINED


def test_readings_are_numbered_under_an_id_of_their_letter_and_followed_by_its_mark(
    recovery: Recovery,
) -> None:
    *readings, mark = recovery.records(made(recovery, b"a=1 b=2"))

    found = [wire.decode_reading(one.value) for one in readings]
    spool = f"{replaying.SPOOL}-{1 << 40 | 1}"
    assert [(one.gateway, one.spool, one.seq, one.sensor) for one in found] == [
        ("pi-7", spool, 1, "a"),
        ("pi-7", spool, 2, "b"),
    ]
    assert {(one.topic, one.key) for one in readings} == {("readings", b"pi-7/boiler")}
    said = wire.decode_letter_or_mark(mark.value)
    assert isinstance(said, wire.Replayed)
    assert (said.replayed, said.spool, said.readings) == ("3:14", spool, 2)
    assert (mark.topic, mark.key, mark.partition) == ("dead-letters", b"line", 3)


def test_a_letter_that_carries_nothing_on_purpose_is_replayed_into_nothing(recovery: Recovery) -> None:
    nothing = made(recovery, b"")

    assert nothing.readings == []
    assert len(recovery.records(nothing)) == 1


@pytest.mark.parametrize(
    ("payload", "changes", "expected"),
    [
        (b"neither", {}, "undecoded: "),
        (b"t=1 from=stove", {}, "unknown device: "),
        (b"t=2", {"kind": "damaged"}, "damaged: "),
        (b"t=2", {"kind": ""}, "damaged: "),
        (b"t=2", {"size": 70_000}, "cut: only 3 of its 70000 bytes were kept"),
        (b"t=2", {"gateway": "pi-8"}, "of another gateway: it is a letter of gateway pi-8"),
        (b"t=2", {"source": "gone"}, "no such source: the configuration has no source 'gone'"),
        (b"t=2", {"source": "old"}, "no such source: source old has no decoder"),
        (b"1,2", {"source": "table"}, "undecoded: a row before any header"),
        (b"1", {"source": "plant", "place": "elsewhere"}, "damaged: its topic fits none"),
        (b"1", {"source": "plant", "place": "plant//force"}, "damaged: the topic names no valid device"),
        (
            b"1" * 101,
            {"source": "plant", "place": "plant/a/b"},
            "damaged: it is larger than max_payload, 100",
        ),
        (b'{"a": 1}', {"source": "all", "place": ""}, "damaged: its topic is not known whole"),
        (b'{"a": 1}', {"source": "all", "place": "x" * 1024}, "damaged: its topic is not known whole"),
        (b"t=2", {"kind": "refused"}, "undecoded: it holds no reading"),
    ],
)
def test_what_must_not_or_cannot_become_readings_says_why(
    recovery: Recovery, payload: bytes, changes: dict[str, Any], expected: str
) -> None:
    assert why(recovery, payload, **changes).startswith(expected)


def test_a_message_that_no_topic_let_in_is_whole_and_is_read_once_one_does(recovery: Recovery) -> None:
    changes = {"source": "plant", "place": "plant/press/force", "kind": "damaged"}

    assert [one.value for one in made(recovery, b"7", **changes).readings] == [7]


def test_the_header_of_one_letter_does_not_name_the_columns_of_the_next(recovery: Recovery) -> None:
    assert made(recovery, b"a,b", source="table").readings == []
    assert why(recovery, b"1,2", source="table").startswith("undecoded: a row before any header")
