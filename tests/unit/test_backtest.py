"""Detection over recorded readings: every row gets its score, and what is said is what the service would say."""

import contextlib
import csv
import io
import json
from pathlib import Path

import pytest
from detecting import OFF, noise
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recordings import START_NS, stamp, with_spikes, write, write_rows

from gateway.detect import service
from gateway.detect.backtest.judging import Judging
from gateway.detect.backtest.recorded import RefusedError
from gateway.detect.backtest.table import EXPECTED, Table
from gateway.detect.bank import Bank
from gateway.detect.config import DetectConfig, Limits, Rules
from gateway.wire import VERSION, Anomaly, Arrival, Reading

LIMITS = DetectConfig(rules=(Rules(limits=Limits(high=80.0)), OFF))
TOML = "[[rules]]\nlimits = { high = 80.0 }\n"


def judged(
    path: Path, config: DetectConfig = LIMITS, parts: int = 1
) -> tuple[Judging, list[Anomaly], list[float]]:
    said: list[Anomaly] = []
    judging = Judging(config, said.append, draw=False)
    scores: list[float] = []
    for chunk in Table(path).chunks(parts, cells=True):
        assert len(chunk.cells) == chunk.rows
        scores += judging.take(chunk).tolist()
    return judging, said, scores


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = service.main(["backtest", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_it_says_what_the_service_says_of_the_same_readings(tmp_path: Path) -> None:
    values = [round(one, 2) for one in with_spikes(500, 300, 400)]
    path = write(tmp_path / "boiler.csv", values)
    readings = [
        Reading(VERSION, "recorded", "recorded", place + 2, "recorded", "recorded", "boiler", at, at, value)
        for place, value in enumerate(values)
        for at in [START_NS + place * 10 * 10**9]
    ]
    live = Bank(DetectConfig())
    expected = live.judge([Arrival(one.seq, b"recorded/recorded", one) for one in readings])

    for parts in (1, 7, 500):
        _, said, scores = judged(path, DetectConfig(), parts)
        assert said == [one.anomaly for one in expected]
        assert scores == live.scores().tolist()
    assert {one.event for one in said} == {"raised", "cleared"}


def test_every_row_has_a_score_and_that_of_what_is_flagged_is_high(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", with_spikes(200, 150))
    _, _, scores = judged(path, DetectConfig())

    assert len(scores) == 200
    assert scores[150] > 0.5
    assert max(scores[:150]) < 0.5


@pytest.mark.parametrize(
    ("shown", "seconds"),
    [
        ("2026-01-31T08:00:00Z", 0),
        ("2026-01-31T09:00:00.250+01:00", 0.25),
        ("2026-01-31 08:00:01", 1),
        ("1769846400", 0),
        ("1769846400.5", 0.5),
        ("1769846400000", 0),
        ("1769846400000000", 0),
        ("1769846400000000000", 0),
        ('"2026-01-31T08:00:02"', 2),
    ],
)
def test_times_are_read_as_people_write_them(tmp_path: Path, shown: str, seconds: float) -> None:
    path = write_rows(tmp_path / "a.csv", "timestamp,value", [f"{shown},1"])
    (chunk,) = Table(path).chunks(1, cells=False)

    assert chunk.arrivals[0].reading.time == START_NS + 8 * 3600 * 10**9 + round(seconds * 10**9)


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "a.csv",
        "\ufeffValue, unit ,sensor,extra,TIMESTAMP,device",
        [f'21.5,°C,temperature,"x,y",{stamp(0)},boiler-7'],
    )
    (chunk,) = Table(path).chunks(1, cells=True)
    reading = chunk.arrivals[0].reading

    assert (reading.device, reading.sensor, reading.value, reading.unit) == (
        "boiler-7",
        "temperature",
        21.5,
        "°C",
    )
    assert chunk.cells == [("boiler-7", "temperature", stamp(0), "21.5")]


def test_without_names_the_sensor_is_called_as_the_file(tmp_path: Path) -> None:
    (chunk,) = Table(write(tmp_path / "temperature.csv", [1.0])).chunks(1, cells=False)

    assert (chunk.arrivals[0].reading.device, chunk.arrivals[0].reading.sensor) == ("recorded", "temperature")


def test_bad_rows_are_named_with_line_and_reason_and_stop_nothing(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "a.csv",
        "timestamp,value,device",
        [
            f"{stamp(0)},1,a",
            f"{stamp(1)},warm,a",
            "",
            "yesterday,1,a",
            f"{stamp(2)}",
            f"{stamp(3)},nan,a",
            f"{stamp(4)},1_0,a",
            f"{stamp(5)},1,",
            f"{stamp(6)},{'9' * 70_000},a",
            f"{stamp(7)},2,a",
        ],
    )
    judging, _, scores = judged(path)

    assert [f"{one.where} {one.reason}" for one in judging.bad_rows] == [
        "line 3 value 'warm' is no number",
        "line 5 timestamp 'yesterday' is no time from 2000 to 2099",
        "line 6 has only 1 of the columns",
        "line 7 value 'nan' is no number",
        "line 8 value '1_0' is no number",
        "line 9 device '' is no name: it is empty, too long or not printable",
        "line 10 is longer than 65536 bytes",
    ]
    assert (judging.rows, judging.bad, len(scores)) == (9, 7, 9)
    assert judging.counts().judged == 2


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a,b\n1,2\n", "has no column `timestamp` in its first line"),
        (b"timestamp,temp\n", "has no column `value` in its first line"),
        (b"timestamp,value,value\n", "has two columns `value`"),
        (b"\x00\xff\xfe\x7f", "has no column `timestamp` in its first line"),
        (b"x" * 100_000, "has no column `timestamp` in its first line"),
        (b"timestamp,value\n", "none of its 0 rows is a reading"),
        (
            b"timestamp,value\n1,2\n",
            "its one row is no reading; the first: line 2 timestamp '1' is no time",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, problem: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    code, out, err = run(capsys, path)

    assert code == 2
    assert not out
    assert err.startswith(f"gateway-detect backtest: {path}: {problem}")
    assert err.endswith(f"{EXPECTED}\n")
    assert err.count("\n") == 1


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        code, _, err = run(capsys, path)
        assert code == 2
        assert "cannot be read" in err


FIELD = st.one_of(
    st.sampled_from(["2026-01-31 00:00:00", "2026-01-31T00:00:01Z", "1769817602", "2026-01-30 00:00:00", "1", "99", "-1e308", "1e308",
                     "nan", "inf", "", '"', "a", "b", "1e-320", "0"]),
    st.text(max_size=5),
    st.floats().map(repr),
)  # fmt: skip
LINES = st.lists(st.lists(FIELD, max_size=5).map(",".join), max_size=40).map(
    lambda one: "\n".join(one).encode()
)


@given(
    st.sampled_from(["timestamp,value", "device,sensor,timestamp,value,unit", "value,timestamp"]),
    LINES | st.binary(max_size=300),
)
@example("timestamp,value", b'2026-01-31 00:00:00,1\r\n\r\n\xff\xfe,\x00\n"2026')
@example("timestamp,value", b"\r0")
@settings(max_examples=60, deadline=None)
def test_whatever_a_file_holds_every_row_gets_one_score(
    tmp_path_factory: pytest.TempPathFactory, header: str, body: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path, out = folder / "any.csv", folder / "scores.csv"
    path.write_bytes(header.encode() + b"\n" + body)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        service.main(["backtest", str(path), "--scores", str(out), "--json"])

    rows = [one for one in body.split(b"\n") if one.strip(b" \t\n\r\x0b\f")]
    with out.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        scores = [float(row[-1]) for row in list(csv.reader(file))[1:]]
    assert len(scores) == len(rows)
    assert all(0.0 <= one <= 1.0 for one in scores)


def test_scores_stand_beside_time_and_value_in_the_order_of_the_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{stamp(0)},x", f"{stamp(20)},21", f"{stamp(10)},22", '"2026-01-31 00:00:30",99']
    path, config = write_rows(tmp_path / "a.csv", "timestamp,value", rows), tmp_path / "detect.toml"
    config.write_text(TOML, encoding="utf-8")
    code, _, _ = run(capsys, path, "--scores", tmp_path / "out.csv", "--config", config)

    assert code == 0
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines() == [
        "timestamp,value,anomaly_score",
        f"{stamp(0)},x,0",
        f"{stamp(20)},21,0",
        f"{stamp(10)},22,0",
        f"{stamp(30)},99,0.666667",
    ]


def test_what_was_flagged_is_printed_with_its_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, config = write(tmp_path / "boiler.csv", with_spikes(40, 20)), tmp_path / "detect.toml"
    config.write_text(TOML, encoding="utf-8")
    code, out, _ = run(capsys, path, "--config", config)

    assert code == 0
    head, anomalies, _, _, row = out.splitlines()
    assert head.startswith(
        f"{path}: 40 rows of 1 sensor, {stamp(0)} to {stamp(390)} UTC, 0.0 sensor-days; 40 judged in "
    )
    assert anomalies.startswith("anomalies: 1 (1 alarm, 0 advisories)")
    assert row == f"1  {stamp(200)}  10 s  recorded boiler  limits  alarm  99 is above the high limit 80"


def test_for_how_long_it_was_open_counts_from_when_it_was_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, config = [21.0 + at % 7 / 10 for at in range(40)], tmp_path / "detect.toml"
    config.write_text("[[rules]]\nstuck = { after = 100 }\n", encoding="utf-8")
    path = write(tmp_path / "a.csv", [*values, *[25.0] * 31, 21.0])
    _, out, _ = run(capsys, path, "--config", config)

    [row] = [line for line in out.splitlines() if "stuck" in line]
    assert row.startswith(f"1  {stamp(500)}  4 min  "), row


def test_a_file_that_is_not_in_order_says_so_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{stamp(-10 * at)},{at}" for at in range(300)]
    path = write_rows(tmp_path / "a.csv", "timestamp,value", rows)
    hint = (
        "late: 299 of 300 rows are older than one of the same sensor before them, and were not judged; "
        "sort them by time, the oldest first, and judge them again"
    )

    assert run(capsys, path)[1].splitlines()[-1] == hint
    assert run(capsys, path, "--json")[2] == f"gateway-detect backtest: {hint}\n"
    path = write_rows(tmp_path / "a.csv", "timestamp,value", [*reversed(rows), *rows[1:20]])
    assert "sort" not in run(capsys, path)[1], "a few stragglers are usual"


def test_what_is_not_judged_makes_no_sensor_days(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "a.csv", "timestamp,value", [f"{stamp(86_400)},1", f"{stamp(0)},1", f"{stamp(172_800)},1"]
    )
    judging, _, _ = judged(path)

    assert (judging.counts().late, judging.days) == (1, 1.0)


def test_programs_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, config = write(tmp_path / "boiler.csv", with_spikes(40, 20)), tmp_path / "detect.toml"
    config.write_text(TOML, encoding="utf-8")
    code, out, _ = run(capsys, path, "--config", config, "--json")
    found = json.loads(out)

    assert code == 0
    assert (found["rows"], found["counts"]["judged"], found["counts"]["bad"]) == (40, 40, 0)
    assert found["anomalies"][0]["raised"]["sentence"] == "99 is above the high limit 80"
    assert found["anomalies"][0]["cleared"]["event"] == "cleared"


@pytest.mark.parametrize("parts", [1, 60])
@pytest.mark.parametrize("back", [10_000, 400])
def test_a_sensor_that_falls_silent_is_told_as_of_that_time_while_others_go_on(
    tmp_path: Path, parts: int, back: int
) -> None:
    rows = [
        f"a,{name},{stamp(10 * at)},{value:.2f}"
        for at, value in enumerate(noise(600))
        for name in ("x", "y")
        if name == "x" or at < 300 or at >= back
    ]
    _, said, _ = judged(
        write_rows(tmp_path / "a.csv", "device,sensor,timestamp,value", rows), DetectConfig(), parts
    )

    silence = [one for one in said if one.rule == "silence"]
    assert {one.sensor for one in silence} == {"y"}
    assert [one.event for one in silence if one.event != "updated"] == ["raised", "cleared"][
        : 1 + (back < 600)
    ]
    assert (silence[0].since, silence[0].time) == (START_NS + 2990 * 10**9, START_NS + 3050 * 10**9)


def test_a_gap_of_a_sensor_that_is_alone_is_told_as_of_that_time(tmp_path: Path) -> None:
    """It may be its gateway that was away: nobody can know."""
    rows = [f"{stamp(10 * at)},{value:.2f}" for at, value in enumerate(noise(600)) if not 300 <= at < 500]
    _, said, _ = judged(write_rows(tmp_path / "a.csv", "timestamp,value", rows), DetectConfig())

    raised = next(one for one in said if one.rule == "silence" and one.event == "raised")
    assert raised.time == START_NS + 3050 * 10**9


def test_a_file_that_tells_one_device_after_the_other_makes_nobody_silent(tmp_path: Path) -> None:
    rows = [
        f"{device},x,{stamp(10 * at)},{value:.2f}" for device in "abc" for at, value in enumerate(noise(300))
    ]
    judging, said, _ = judged(
        write_rows(tmp_path / "a.csv", "device,sensor,timestamp,value", rows), DetectConfig(), 30
    )

    assert [one for one in said if one.rule == "silence"] == []
    assert judging.counts().judged == 900
    assert judging.days == pytest.approx(3 * 2990 / 86_400)


def test_memory_is_spared_where_much_is_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.detect.backtest.judging.MOST_FLAGS", 3)
    judging, said, _ = judged(write(tmp_path / "a.csv", [99.0, 1.0] * 10))

    assert len(said) == 20
    assert (len(judging.flags), judging.left_out, judging.grades["alarm"]) == (3, 7, 10)
    assert all(one.cleared is not None for one in judging.flags)


@pytest.mark.parametrize(
    "words",
    [[], ["a.csv", "--topic", "readings"], ["a.csv", "--from", "2026-01-31T00:00"],
     ["--topic", "readings", "--from", "1h", "--to", "2h"], ["--topic", "readings", "--from", "2026-01-31", "--to", "2026-01-30"], ["a.csv", "--scores", "a.csv"],
     ["a.csv", "--scores", "no/such/folder.csv"], ["a.csv", "--plot", "a.pdf"], ["a.csv", "--plot", "no/folder.png"],
     ["a.csv", "--config", "none.toml"], ["a.csv", "--labels", "none.csv"]],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.csv"), [1.0, 2.0])
    before = Path("a.csv").read_bytes()
    code, _, err = run(capsys, *words)

    assert code == 2
    assert err.startswith("gateway-detect backtest: ")
    assert err.count("\n") == 1
    assert Path("a.csv").read_bytes() == before


@pytest.mark.parametrize("option", ["--plot", "--scores"])
def test_what_could_not_be_written_at_the_end_is_refused_before_anything_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    monkeypatch.delattr("gateway.detect.backtest.command.Judging")
    path = write(tmp_path / "a.csv", [1.0, 2.0])
    (tmp_path / "folder.png").mkdir()
    for out in (tmp_path / "none" / "a.png", tmp_path / "folder.png"):
        code, _, err = run(capsys, path, option, out)
        assert code == 2
        assert err.startswith(f"gateway-detect backtest: {out}: cannot be written: ")


def test_the_service_itself_is_as_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "detect.toml"
    config.write_text(TOML, encoding="utf-8")

    assert service.main(["--config", str(config), "--check"]) == 0
    assert capsys.readouterr().out == f"{config}: accepted: 1 table(s) of rules\n"


def test_a_recording_is_refused_as_such() -> None:
    assert str(RefusedError("a\x1b[2J")) == "a\\x1b[2J"
