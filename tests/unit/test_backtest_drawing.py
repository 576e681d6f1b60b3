"""What a backtest draws: no extreme disappears, nothing that a device sends becomes markup, no network is needed."""

import builtins
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import START_NS, stamp, with_spikes, write, write_rows

from gateway.detect import service
from gateway.detect.backtest import plot
from gateway.detect.backtest.judging import Judging
from gateway.detect.backtest.page import page
from gateway.detect.backtest.table import Table
from gateway.detect.backtest.trace import MOST, PIXELS, Trace, thinned
from gateway.detect.config import DetectConfig

TOML = "[[rules]]\nlimits = { high = 80.0 }\n"
EVIL = '<script>alert("1")</script> $x_{$ & \'y'
PNG = b"\x89PNG\r\n"


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.floats(allow_nan=False)), min_size=1, max_size=200),
    st.integers(1, 30),
)
def test_thinning_keeps_every_extreme(points: list[tuple[int, float]], bins: int) -> None:
    time = np.array([one[0] for one in points], np.int64)
    value = np.array([one[1] for one in points])
    kept_time, kept = thinned(time, value, bins)

    assert len(kept) <= max(2 * bins, len(points) if len(points) <= 2 * bins else 0)
    assert (kept.min(), kept.max()) == (value.min(), value.max())
    assert (np.diff(kept_time) >= 0).all()
    assert set(zip(kept_time.tolist(), kept.tolist(), strict=True)) <= set(
        zip(time.tolist(), value.tolist(), strict=True)
    )
    width = (int(time.max()) - int(time.min())) // bins + 1
    for part in set(((time - time.min()) // width).tolist()):
        inside = value[(time - time.min()) // width == part]
        thin = kept[(kept_time - time.min()) // width == part]
        assert (thin.min(), thin.max()) == (inside.min(), inside.max())


def test_one_reading_in_a_million_is_still_seen() -> None:
    trace = Trace()
    value = np.zeros(1_000_000)
    value[[333_333, 777_777]] = 5.0, -7.0
    for first in range(0, len(value), 10_000):
        part = np.arange(first, first + 10_000)
        trace.add(part * 10**9, value[part])
        assert len(trace._value) <= MOST
    time, line = trace.line()

    assert len(line) <= 2 * PIXELS
    assert time[np.argmax(line)] == 333_333 * 10**9
    assert time[np.argmin(line)] == 777_777 * 10**9


def test_a_gap_is_no_line() -> None:
    trace = Trace()
    trace.add(np.array([0, 1, 2, 3, 1000, 1001]), np.ones(6))
    _, line = trace.line()

    assert np.isnan(line).tolist() == [False] * 4 + [True] + [False] * 2


def test_the_expected_range_is_bounded_in_memory_too() -> None:
    trace = Trace()
    for time in range(100_000):
        trace.expect(time, 0.0, 1.0)
    begin, _, _ = trace.band()

    assert PIXELS / 2 < len(begin) <= 2 * PIXELS
    assert begin[-1] > 95_000


def judged(path: Path, *, draw: bool = True) -> Judging:
    judging = Judging(DetectConfig(), lambda _: None, draw=draw)
    for chunk in Table(path).chunks(50, cells=False):
        judging.take(chunk)
    return judging


def test_what_was_expected_is_where_the_readings_are(tmp_path: Path) -> None:
    (trace,) = judged(write(tmp_path / "a.csv", with_spikes(500, 300))).traces.values()
    _, low, high = trace.band()

    assert np.isnan(low[:5]).all()
    assert (low[-10:] < 20).all()
    assert (high[-10:] > 22).all()
    assert (high[-10:] < 30).all()


def test_the_sensors_with_most_flags_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot, "PANELS", 2)
    rows = [
        f"d,{name},{stamp(at * 10)},{value:.2f}"
        for name, spikes in (("a", ()), ("b", (250,)), ("c", ()), ("d", (200, 300)))
        for at, value in enumerate(with_spikes(400, *spikes))
    ]
    found = plot.panels(judged(write_rows(tmp_path / "a.csv", "device,sensor,timestamp,value", rows)))

    assert [one.sensor for one in found] == ["b", "d"]
    numbers = [number for one in found for number, _ in one.flags]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def run(folder: Path, out: str, sensor: str = "boiler", unit: str = "bar") -> Path:
    config = folder / "detect.toml"
    config.write_text(TOML, encoding="utf-8")
    values = with_spikes(200, 150)
    quoted = sensor.replace('"', '""')
    rows = [f'd,"{quoted}",{stamp(at * 10)},{value:.2f},"{unit}"' for at, value in enumerate(values)]
    recording = write_rows(folder / "a.csv", "device,sensor,timestamp,value,unit", rows)
    assert (
        service.main(["backtest", str(recording), "--config", str(config), "--plot", str(folder / out)]) == 0
    )
    return folder / out


def test_a_picture_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run(tmp_path, "out.png", unit="ᚠ")

    assert path.read_bytes().startswith(PNG)
    assert capsys.readouterr().out.endswith(f"\ndrawn: {path}\n")


class Elements(HTMLParser):
    """The names of all elements of a page, its text, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text = ""
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.fetched += [
            value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "data", "action"}
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_shows_the_drawing_and_the_sentences(tmp_path: Path) -> None:
    page_of = Elements(run(tmp_path, "out.html").read_text(encoding="utf-8"))

    assert "svg" in page_of.names
    assert "99 bar is above the high limit 80 bar" in page_of.text


def test_what_devices_send_is_no_markup_in_a_page(tmp_path: Path) -> None:
    text = run(tmp_path, "out.html", EVIL).read_text(encoding="utf-8")
    page_of = Elements(text)

    assert "script" not in page_of.names
    assert EVIL in page_of.text
    assert not [one for one in page_of.fetched if not one.startswith("#")]
    assert not re.search(r"url\((?!#)|@import", text)


def test_a_page_escapes_every_text(tmp_path: Path) -> None:
    judging = judged(write(tmp_path / "a.csv", with_spikes(200, 150)))
    told = {"device": EVIL, "sensor": EVIL, "rule": EVIL, "sentence": EVIL + "\x1b"}
    for flag in judging.flags:
        flag.raised = flag.worst = msgspec.structs.replace(flag.raised, **told)
    text = page(EVIL, judging, None, 1.0, "<svg></svg>")

    assert "<script" not in text
    assert "\x1b" not in text


def test_without_matplotlib_it_is_refused_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: object, **more: object) -> object:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    recording = write(tmp_path / "a.csv", with_spikes(100))
    code = service.main(["backtest", str(recording), "--plot", str(tmp_path / "out.png")])

    assert code == 2
    said = capsys.readouterr().err
    assert said.startswith("gateway-detect backtest: --plot needs the library matplotlib: ")
    assert "`pip install '.[plot]'` in a checkout" in said
    assert service.main(["backtest", str(recording)]) == 0


@pytest.mark.parametrize("values", [[1.0], [5.0, 5.0], [1e308, -1e308, 0.0], [1e-320] * 3])
def test_any_numbers_can_be_drawn(tmp_path: Path, values: list[float]) -> None:
    rows = [f"{stamp(at)},{value!r}" for at, value in enumerate(values)]
    path = write_rows(tmp_path / "a.csv", "timestamp,value", rows)

    assert service.main(["backtest", str(path), "--plot", str(tmp_path / "out.png")]) == 0


def test_times_in_a_drawing_are_those_of_the_readings() -> None:
    assert plot._days([START_NS])[0] == pytest.approx(20_484.0)
