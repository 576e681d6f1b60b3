"""What labels say to what a backtest flagged."""

import json
from pathlib import Path

import pytest
from recordings import START_NS, stamp, with_spikes, write

from gateway.detect import service
from gateway.detect.backtest.labels import EXPECTED, Labels, Window, load_labels
from gateway.detect.backtest.recorded import RefusedError
from gateway.wire import VERSION, Anomaly

SECOND = 10**9
TOML = "[[rules]]\nlimits = { high = 80.0 }\nspike = false\nrate = false\nnever_seen = false\n"

SENSORS = [("dev", "x"), ("dev", "z")]


def event(at: float, kind: str = "raised", sensor: str = "x") -> Anomaly:
    time = START_NS + round(at * SECOND)
    return Anomaly(
        VERSION, "id", kind, "limits", "alarm", "gw", "dev", sensor, 1.0, "text", time, time, "spool", 1  # type: ignore[arg-type]
    )  # fmt: skip


def windows(*spans: tuple[float, float]) -> list[Window]:
    return [Window(START_NS + round(one * SECOND), START_NS + round(other * SECOND)) for one, other in spans]


def spans(labels: Labels) -> list[tuple[float, float]]:
    """In seconds."""
    return [((one.start - START_NS) / SECOND, (one.end - START_NS) / SECOND) for one in labels.windows]


def test_windows_are_found_or_missed_and_the_rest_is_false() -> None:
    labels = Labels(windows((100, 200), (300, 400), (1000, 1100)))
    for one in (event(50), event(130), event(160), event(400), event(401), event(120, "cleared")):
        labels.take(one)
    verdict = labels.verdict(4, SENSORS)

    assert verdict.found == 2
    assert verdict.missed == [(START_NS + 1000 * SECOND, START_NS + 1100 * SECOND)]
    assert (verdict.false_events, verdict.per_day) == (2, 0.5)
    assert verdict.delay == pytest.approx((30 + 100) / 2)


def test_what_gets_worse_in_a_window_finds_it_and_is_no_new_false_event() -> None:
    labels = Labels(windows((100, 200)))
    for one in (event(50), event(150, "updated"), event(500, "updated")):
        labels.take(one)
    verdict = labels.verdict(1, SENSORS)

    assert (verdict.found, verdict.false_events) == (1, 1)


def test_a_long_window_counts_beside_short_ones() -> None:
    labels = Labels(windows((0, 10_000), (10, 20), (30, 40)))
    labels.take(event(5000))

    assert labels.verdict(1, SENSORS).found == 1


def test_a_label_may_name_a_sensor() -> None:
    labels = Labels(
        [Window(START_NS, START_NS + SECOND, "dev", "x"), Window(START_NS, START_NS + SECOND, "", "y")]
    )
    labels.take(event(0.5))
    labels.take(event(0.5, sensor="z"))
    verdict = labels.verdict(0, SENSORS)

    assert (verdict.found, verdict.false_events, verdict.per_day) == (1, 1, None)


def test_a_label_of_a_sensor_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    rows = [f"{stamp(0)},,", f"{stamp(0)},dev,", f"{stamp(0)},,x", f"{stamp(0)},dev,y", f"{stamp(0)},x,"]
    path.write_text("\n".join(["timestamp,device,sensor", *rows]), encoding="utf-8")

    assert load_labels(path, "a.csv").verdict(1, SENSORS).strangers == [
        "line 5: device 'dev' sensor 'y'",
        "line 6: device 'x'",
    ]


def test_points_are_found_for_ten_minutes(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"sensor,Timestamp\nx,{stamp(0)}\n\n,{stamp(3600)}\n", encoding="utf-8")
    labels = load_labels(path, "a.csv")

    assert labels.windows == [
        Window(START_NS, START_NS + 600 * SECOND, "", "x", "line 2"),
        Window(START_NS + 3600 * SECOND, START_NS + 4200 * SECOND, where="line 4"),
    ]


def test_windows_are_read_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"end,start\n{stamp(9)},{stamp(5)}\n", encoding="utf-8")

    assert spans(load_labels(path, "a.csv")) == [(5, 9)]


def test_of_json_the_windows_of_this_file_count(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    table = {
        "one/a.csv": [["2026-01-31 00:00:01.000000", "2026-01-31 00:00:02.000000"]],
        "two/a.csv": [],
        "a.csv": [["2026-01-31 00:00:05.000000", "2026-01-31 00:00:06.000000"]],
    }
    path.write_text(json.dumps(table), encoding="utf-8")

    assert spans(load_labels(path, "data/one/a.csv")) == [(1, 2)]
    assert load_labels(path, "data/two/a.csv").windows == []
    assert spans(load_labels(path, "elsewhere/a.csv")) == [(5, 6)]
    del table["a.csv"]
    path.write_text(json.dumps(table), encoding="utf-8")
    assert spans(load_labels(path, "a.csv")) == [(1, 2)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no column `start`"),
        ("a,b\n1,2\n", "has no column `start`"),
        ("start\n1,2\n", "has no column `end`"),
        ("timestamp\n\nsoon\n", "line 3: 'soon' is no time"),
        ("start,end\n2026-01-31 00:00:00\n", "line 2: '' is no time"),
        ("start,end\n", "has no label behind its first line"),
        (
            "start,end\n2026-01-31 02:00,2026-01-31 01:00\n",
            "line 2: its end '2026-01-31 01:00' is before its start '2026-01-31 02:00'",
        ),
        ("{", "is no JSON"),
        ("[1, 2", "is no JSON"),
        ("[1, 2]", "is no JSON object with a list of windows for each file"),
        ('{"a.csv": [["2026-01-31 02:00", "2026-01-31 01:00"]]}', "window 1 of 'a.csv': its end"),
        ("{}", "has no labels for a.csv"),
        ('{"a.csv": 1}', "are no list of windows"),
        ('{"a.csv": [[1]]}', "are no list of windows"),
        ('{"a.csv": [[null, {}]]}', "window 1 of 'a.csv': None is no time"),
    ],
)
def test_what_is_no_label_is_refused_in_one_sentence(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "labels"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(RefusedError) as refusal:
        load_labels(path, "a.csv")
    assert str(refusal.value).startswith(f"{path}: ")
    assert problem in str(refusal.value)
    assert str(refusal.value).endswith(EXPECTED)


def test_a_backtest_names_labels_of_no_sensor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(f"timestamp,sensor\n{stamp(0)},pressure\n", encoding="utf-8")
    service.main(["backtest", str(write(tmp_path / "a.csv", [1.0, 2.0])), "--labels", str(labels)])

    out = capsys.readouterr().out
    assert "  line 2: sensor 'pressure' is not in the recording, or nothing of it was judged\n" in out


def test_a_backtest_prints_found_missed_and_false(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    recording = write(tmp_path / "data" / "a.csv", with_spikes(1440, 17, 800), interval=60)
    config, labels = tmp_path / "detect.toml", tmp_path / "labels.json"
    config.write_text(TOML, encoding="utf-8")
    labels.write_text(
        json.dumps({"data/a.csv": [[stamp(960), stamp(1200)], [stamp(20_000), stamp(20_100)]]}),
        encoding="utf-8",
    )
    code = service.main(["backtest", str(recording), "--config", str(config), "--labels", str(labels)])
    out = capsys.readouterr().out

    assert code == 0
    assert "labels: 1 of 2 windows found, 60 s after it began (median)\n" in out
    assert f"  missed: {stamp(20_000)} to {stamp(20_100)}\n" in out
    assert "false: 1 anomaly raised outside of the windows, 1.00 per sensor-day\n" in out
