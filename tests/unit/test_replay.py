import asyncio
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from devices.errors import SettingError, SourceEnded, SourceRefused
from devices.reading import Quality
from devices.registry import open_source
from devices.simulator.recording import Recording, Row, Settings, Timeline, open_file
from devices.simulator.rows import Rows
from gateway.testing import RecordingIntake

NANO = 10**9
NOON = 1_769_860_800 * NANO  # 2026-01-31T12:00:00Z
GOOD = "timestamp,value\n2026-01-31T12:00:00Z,21.5\n2026-01-31T12:00:01Z,21.6\n"


def replay(folder: Path, text: str | bytes, **settings: Any) -> RecordingIntake:
    """Replay all of a file that holds this text, as fast as it goes."""
    path = folder / "recorded.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    intake = RecordingIntake()

    async def scene() -> None:
        table = {"kind": "replay", "file": str(path), "speed": 0, **settings}
        source = open_source("rec", table)
        with pytest.raises(SourceEnded, match="is at its end"):
            await source.run(intake)
        await source.close()

    asyncio.run(scene())
    return intake


def test_two_columns_are_readings_at_their_recorded_times(tmp_path: Path) -> None:
    intake = replay(tmp_path, GOOD, device="boiler-7", sensor="temperature")

    assert intake.connections == 1
    assert intake.rejects == []
    assert [(r.device, r.sensor, r.value, r.time - NOON, r.source) for r in intake.taken] == [
        ("boiler-7", "temperature", 21.5, 0, "rec"),
        ("boiler-7", "temperature", 21.6, NANO, "rec"),
    ]
    assert {r.quality for r in intake.taken} == {Quality.GOOD}
    assert all(abs(r.received - time.time_ns()) < 60 * NANO for r in intake.taken)


def test_without_names_the_source_is_the_device_and_the_sensor_is_called_value(tmp_path: Path) -> None:
    assert [(r.device, r.sensor) for r in replay(tmp_path, GOOD).taken] == [("rec", "value")] * 2


def test_four_columns_name_device_and_sensor_and_a_fifth_the_unit(tmp_path: Path) -> None:
    text = "Device,Sensor,Timestamp,Value,Unit\nb7,t,1769860800,21.5,°C\nb8,open,1769860801,true,\n"

    readings = replay(tmp_path, "\ufeff" + text).taken

    assert [(r.device, r.sensor, r.value, r.unit, r.time - NOON) for r in readings] == [
        ("b7", "t", 21.5, "°C", 0),
        ("b8", "open", True, "", NANO),
    ]


def test_other_columns_are_sensors(tmp_path: Path) -> None:
    readings = replay(
        tmp_path, "time;t;h\r\n2026-01-31 13:00:00;21,5;40\r\n", delimiter=";", time_zone="+01:00"
    ).taken

    assert [(r.sensor, r.value, r.time) for r in readings] == [("t", "21,5", NOON), ("h", 40, NOON)]


def test_bad_rows_become_dead_letters_with_their_number_and_stop_nothing(tmp_path: Path) -> None:
    text = (
        GOOD.encode()
        + b"2026-01-31T12:00:02Z,21.7,9\n"  # 4
        + b"\n"
        + b"yesterday,21.8\n"  # 6
        + b"2026-01-31T12:00:03Z,\xff\n"  # 7
        + b"2026-01-31T12:00:03Z,"
        + b"9" * 70_000
        + b"\n"  # 8
        + b"2026-01-31T12:00:03Z,1e999\n"  # 9
        + b"2026-01-31T12:00:04Z,\n"
        + b"2026-01-31T12:00:05Z,22\n"
    )

    intake = replay(tmp_path, text)

    assert [r.value for r in intake.taken] == [21.5, 21.6, 22]
    assert [one.reason.split(":")[0] for one in intake.rejects] == [f"line {n}" for n in (4, 6, 7, 8, 9)]
    assert "a row of 3 cells where there are 2 columns" in intake.rejects[0].reason
    assert "names no point in time" in intake.rejects[1].reason
    assert "not UTF-8" in intake.rejects[2].reason
    assert intake.rejects[3].size > 70_000 >= 4 * len(intake.rejects[3].data)
    assert intake.rejects[0].data == b"2026-01-31T12:00:02Z,21.7,9"
    assert intake.rejects[0].origin.place.endswith("recorded.csv")


@pytest.mark.parametrize("end", ["1769860800,2", "1769860800,20.5\r", "x" * 70_000])
def test_a_last_row_without_a_line_end_may_be_half_written_and_becomes_a_dead_letter(
    tmp_path: Path, end: str
) -> None:
    intake = replay(tmp_path, GOOD + end)

    assert [r.value for r in intake.taken] == [21.5, 21.6]
    [reject] = intake.rejects
    assert reject.reason.startswith("line 4: cut off in mid-row: the file ends here without a line end")
    assert (reject.data, reject.size) == (end.encode()[:16_384], len(end))


@pytest.mark.parametrize("end", [" ", "\r", "\n", "\n\r\n"])
def test_a_blank_end_is_passed_over(tmp_path: Path, end: str) -> None:
    assert replay(tmp_path, GOOD + end).rejects == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("timestamp,val", "its first line has no line end"),
        ("2026-01-31T12:00:00Z,21.5\n", "its first line names no column of times and one of values"),
        ("timestamp\n", "its first line names no column of times and one of values"),
        ("timestamp,device\n", "its first line names no column of times and one of values"),
        ("value,other\n", "its first line names no column of times and one of values"),
        ("time,t,t\n", "the name of two columns"),
        (b"time,\xff\n", "no row of cells in UTF-8"),
        ("t" * 70_000 + "\n", "its first line is too long"),
    ],
)
def test_a_file_without_a_header_is_refused_with_an_example_of_one(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    path = tmp_path / "recorded.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)

    with pytest.raises(
        SourceRefused, match=rf"recorded\.csv: .*{told}.*`timestamp,value` or `device,sensor,timestamp,value`"
    ):
        asyncio.run(open_source("rec", {"kind": "replay", "file": str(path)}).run(RecordingIntake()))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, told in ((tmp_path / "absent.csv", "No such file"), (tmp_path, "no regular file")):
        with pytest.raises(
            SourceRefused, match=rf"replay `rec`: {path} cannot be read: .*{told}.*; set `file`"
        ):
            asyncio.run(open_source("rec", {"kind": "replay", "file": str(path)}).run(RecordingIntake()))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"loop": True}, r'loop: true is not allowed with times = "recorded"'),
        ({"device": "\n"}, r"device: '\\n' is no name"),
        ({"delimiter": "x"}, r"delimiter: 'x' is not allowed"),
        ({"time_zone": "Nowhere"}, r"time_zone: 'Nowhere' is no time zone"),
        ({"speed": -1}, r"speed: -1 is not allowed"),
        ({"times": "later"}, r"times: 'later' is not allowed: allowed: 'now', 'recorded'"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=rf"^sources\.rec\.{told}"):
        open_source("rec", {"kind": "replay", "file": "x.csv", **settings})


def test_rows_come_as_far_apart_as_they_were_recorded_and_faster_by_the_speed(tmp_path: Path) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text("timestamp,value\n" + "".join(f"{1769860800 + n * 60},{n}\n" for n in range(4)))
    intake = RecordingIntake()
    source = open_source("rec", {"kind": "replay", "file": str(path), "speed": 600, "times": "now"})

    with pytest.raises(SourceEnded):
        asyncio.run(source.run(intake))

    times = [r.time for r in intake.taken]
    assert [time - times[0] for time in times] == [n * NANO // 10 for n in range(4)]
    assert all(0 <= r.received - r.time < NANO for r in intake.taken)
    assert {r.quality for r in intake.taken} == {Quality.SIMULATED}


def test_a_timeline_follows_the_recorded_times_whenever_it_is_asked() -> None:
    timeline = Timeline(speed=2)

    assert timeline.due(NOON, now=1000 * NANO) == 1000 * NANO
    assert timeline.due(NOON + 10 * NANO, now=1001 * NANO) == 1005 * NANO
    assert timeline.due(NOON + 10 * NANO, now=5000 * NANO) == 1005 * NANO
    assert Timeline(speed=0).due(NOON, now=7) == 7


def test_a_loop_begins_again_until_it_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text(GOOD)
    intake = RecordingIntake()

    async def scene() -> None:
        table = {"kind": "replay", "file": str(path), "speed": 0, "times": "now", "loop": True}
        task = asyncio.create_task(open_source("rec", table).run(intake))
        await until(lambda: len(intake.taken) >= 6, "three rounds")
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(scene())
    assert intake.connections == 1


def test_stopped_while_a_slow_disk_opens_its_file_it_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text(GOOD)
    asked, answered = threading.Event(), threading.Event()
    opened: list[BinaryIO] = []

    def slow(name: str) -> BinaryIO:
        asked.set()
        assert answered.wait(10)
        opened.append(open_file(name))
        return opened[0]

    monkeypatch.setattr("devices.simulator.replay.open_file", slow)

    async def scene() -> None:
        table = {"kind": "replay", "file": str(path), "speed": 0}
        task = asyncio.create_task(open_source("rec", table).run(RecordingIntake()))
        await until(asked.is_set, "the disk is asked")
        task.cancel()
        await asyncio.wait([task])
        answered.set()
        await until(lambda: bool(opened) and opened[0].closed, "the file is closed")

    asyncio.run(scene())


@pytest.mark.parametrize("step", [-3600 * NANO, 7 * 365 * 86_400 * NANO])
def test_when_the_clock_is_set_it_goes_on_at_its_pace_with_times_of_that_clock(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text("timestamp,value\n" + "".join(f"{1769860800 + n},{n}\n" for n in range(5)))
    intake, right = RecordingIntake(), time.time_ns

    async def scene() -> None:
        table = {"kind": "replay", "file": str(path), "speed": 50, "times": "now", "loop": True}
        task = asyncio.create_task(open_source("rec", table).run(intake))
        await until(lambda: len(intake.taken) >= 2, "the first rows")
        before = len(intake.taken)
        monkeypatch.setattr(time, "time_ns", lambda: right() + step)
        began = time.monotonic_ns()
        await until(lambda: len(intake.taken) >= before + 12, "two rounds")
        assert time.monotonic_ns() - began > 8 * NANO // 50, "no hurry either"
        task.cancel()
        await asyncio.wait([task])
        for place, reading in enumerate(intake.taken):
            assert abs(reading.time - right() - (step if place >= before else 0)) < 60 * NANO
            assert 0 <= reading.received - reading.time < NANO

    asyncio.run(scene())


def test_rows_that_come_late_have_the_time_at_which_they_come(tmp_path: Path) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text("timestamp,value\n1769860800,1\n1769860740,2\n")
    intake = RecordingIntake()
    intake.ahead = -3600 * NANO
    source = open_source("rec", {"kind": "replay", "file": str(path), "times": "now"})

    with pytest.raises(SourceEnded):
        asyncio.run(source.run(intake))

    assert [r.value for r in intake.taken] == [1, 2]
    assert all(r.received - r.time < NANO for r in intake.taken), (
        "or they would not be corrected with the clock"
    )


def test_it_waits_for_room(tmp_path: Path) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text("timestamp,value\n" + "1769860800,1\n" * 5000)
    intake = RecordingIntake()
    intake.has_room = False

    async def scene() -> None:
        task = asyncio.create_task(
            open_source("rec", {"kind": "replay", "file": str(path), "speed": 0}).run(intake)
        )
        await until(lambda: intake.connections, "the beginning")
        assert len(intake.taken) <= 1000
        intake.has_room = True
        await until(task.done, "the end")
        assert isinstance(task.exception(), SourceEnded)

    asyncio.run(scene())
    assert len(intake.taken) == 5000


def test_a_file_that_is_no_csv_waits_for_room_and_lets_others_have_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text("timestamp,value\n" + "x\n" * 5000)
    intake = RecordingIntake()
    intake.has_room = False
    at_once = 0

    async def scene() -> None:
        nonlocal at_once
        task = asyncio.create_task(
            open_source("rec", {"kind": "replay", "file": str(path), "speed": 0}).run(intake)
        )
        await until(lambda: intake.rejects, "the first dead letter")
        assert len(intake.rejects) == 1
        intake.has_room = True
        while not task.done():
            before = len(intake.rejects)
            await asyncio.sleep(0)
            at_once = max(at_once, len(intake.rejects) - before)

    asyncio.run(scene())
    assert len(intake.rejects) == 5000
    assert at_once < 200


@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_whatever_the_bytes_are_each_row_is_readings_or_a_dead_letter(data: bytes, cut: int) -> None:
    recording = Recording("rec", Settings("x.csv"))
    rows: list[Row] = list(recording.push(b"timestamp,value\n"))

    rows += recording.push(data[:cut])
    rows += recording.push(data[cut:])
    rows += recording.end()

    assert len(rows) <= data.count(b"\n") + 1
    for row in rows:
        assert bool(row.readings) != bool(row.reason)
        assert all(one.time for one in row.readings)


def test_rows_for_a_fleet_are_due_in_their_time_and_rejects_are_told(tmp_path: Path) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text(
        "device,sensor,timestamp,value\nb,t,1769860800,1\nbad\nb,t,1769860802,2\nb,t,1769860804,2"
    )
    rejected: list[Row] = []
    rows = Rows(Settings(str(path), speed=2), rejected.append)

    assert [one.data for one in rows.due(5 * NANO, 10)] == [
        b'{"device":"b","t":1,"time":1769860800000000000}'
    ]
    assert rows.due(6 * NANO - 1, 10) == []
    assert not rows.ended
    assert [(one.device, one.due) for one in rows.due(6 * NANO, 10)] == [("b", 6 * NANO)]
    assert rows.ended
    assert [row.reason.split(":")[0] for row in rejected] == ["line 3", "line 5"]
