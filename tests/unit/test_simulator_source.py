import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devices import registry
from devices.errors import SettingError, SourceEnded, SourceRefused
from devices.reading import Quality, Reading
from devices.simulator import Settings, open_source, source
from devices.simulator.plant import NANO
from devices.simulator.sensors import MODELS
from devices.source import Home


class Collected:
    """An intake that keeps the readings of each call, and counts what a simulator has no business with."""

    def __init__(self) -> None:
        self.calls: list[Sequence[Reading]] = []
        self.links = 0
        self.others: list[Any] = []

    def readings(self, readings: Sequence[Reading], receipt: Any = None) -> None:
        self.calls.append(readings)
        if receipt is not None:
            self.others.append(receipt)

    def payload(self, *arguments: Any) -> None:
        self.others.append(arguments)

    def reject(self, *arguments: Any) -> None:
        self.others.append(arguments)

    def ready(self) -> bool:
        return True

    def now(self) -> int:
        return time.time_ns()

    def connected(self) -> None:
        self.links += 1

    def all(self) -> list[Reading]:
        return [reading for call in self.calls for reading in call]


def run_to_the_end(settings: Settings, name: str = "twin") -> Collected:
    intake = Collected()

    async def run() -> None:
        simulator = open_source(name, settings)
        with pytest.raises(SourceEnded, match="all"):
            await simulator.run(intake)
        await simulator.close()
        await simulator.close()

    asyncio.run(run())
    return intake


def test_a_tick_is_one_call_with_all_sensors_under_the_name_of_the_source() -> None:
    intake = run_to_the_end(Settings(count=2, interval=0, total=12), name="boiler-line")

    assert intake.links == 1
    assert intake.others == []
    assert [len(call) for call in intake.calls] == [6, 6]
    assert [(r.device, r.sensor, r.unit) for r in intake.calls[0]] == [
        (device, sensor, unit)
        for device in ("sim-1", "sim-2")
        for sensor, unit in (("temperature", "°C"), ("humidity", "%"), ("vibration", "mm/s"))
    ]
    for reading in intake.all():
        assert reading.source == "boiler-line"
        assert reading.quality == Quality.SIMULATED
        assert reading.time <= reading.received


def test_a_tick_of_many_sensors_comes_in_portions_and_lets_others_have_the_loop() -> None:
    intake = Collected()
    table = {"kind": "simulator", "count": 1000, "interval": 60, "total": 3000}
    turns = 0

    async def run() -> None:
        nonlocal turns
        task = asyncio.create_task(registry.open_source("twin", table).run(intake))
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        assert isinstance(task.exception(), SourceEnded)

    asyncio.run(run())
    parts = sum(len(model.signal) for model in MODELS)
    assert turns == len(intake.calls) == -(-1000 // (source.PORTION // parts))
    assert [r.device for r in intake.all()[::3]] == [f"sim-{number}" for number in range(1, 1001)]
    assert len({r.time for r in intake.all()}) == 1


def test_it_ends_after_exactly_its_total_with_times_that_rise() -> None:
    intake = run_to_the_end(Settings(interval=0, total=10_000))

    readings = intake.all()
    assert len(readings) == 10_000
    times = [call[0].time for call in intake.calls]
    assert times == sorted(set(times))


def test_an_endless_run_lets_others_have_the_loop() -> None:
    intake = Collected()

    async def run() -> None:
        task = asyncio.create_task(open_source("twin", Settings(interval=0)).run(intake))
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert 1 < len(intake.calls) <= 10


def test_ticks_do_not_drift() -> None:
    intake = run_to_the_end(Settings(count=1, interval=0.02, total=30))

    times = [call[0].time for call in intake.calls]
    assert [time - times[0] for time in times] == [number * NANO // 50 for number in range(10)]


class Stepping(Collected):
    """An intake whose clock goes by `step` further at the second reading, once for all; its readings take `late`.

    Attributes:
        slept: the waits that the simulator asked for, in nanoseconds; they take no time but on this clock.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: int = 0, late: int = 0) -> None:
        super().__init__()
        self.slept: list[int] = []
        self._now = 1000 * NANO
        self._step, self._late = step, late
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    def now(self) -> int:
        return self._now

    def readings(self, readings: Sequence[Reading], receipt: Any = None) -> None:
        super().readings(readings, receipt)
        self._now += self._late if len(self.calls) == 1 else 0

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds * NANO))
        self._now += self.slept[-1] + (self._step if len(self.calls) == 2 else 0)


def ticks(intake: Stepping) -> list[int]:
    """Times of five ticks, a tenth of a second apart, since the first."""
    with pytest.raises(SourceEnded):
        asyncio.run(open_source("twin", Settings(count=1, interval=0.1, total=15)).run(intake))
    return [call[0].time - 1000 * NANO for call in intake.calls]


TENTH = NANO // 10


def test_a_short_delay_is_caught_up_with(monkeypatch: pytest.MonkeyPatch) -> None:
    intake = Stepping(monkeypatch, late=NANO // 4)

    assert ticks(intake) == [n * TENTH for n in range(5)]
    assert intake.slept == [0, 0, TENTH // 2, TENTH]


def test_after_a_long_delay_it_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ticks(Stepping(monkeypatch, late=20 * NANO)) == [0, *(20 * NANO + n * TENTH for n in range(4))]


@pytest.mark.parametrize("step", [-3600 * NANO, -NANO, NANO, 7 * 365 * 86_400 * NANO])
def test_when_the_clock_is_set_in_a_pause_the_next_times_are_of_that_clock_at_the_same_pace(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = Stepping(monkeypatch, step)

    assert ticks(intake) == [0, TENTH, *(step + n * TENTH for n in (2, 3, 4))]
    assert intake.slept == [TENTH] * 4
    assert all(0 <= r.received - r.time < NANO for r in intake.all())


def test_when_the_clock_is_set_in_mid_tick_the_rest_of_it_has_times_of_that_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    intake = Stepping(monkeypatch, late=-20 * NANO)
    with pytest.raises(SourceEnded):
        asyncio.run(open_source("twin", Settings(count=1000, interval=1, total=3000)).run(intake))

    assert [call[0].time for call in intake.calls] == [1000 * NANO] + [980 * NANO] * (len(intake.calls) - 1)


def test_each_fault_becomes_a_line_of_the_truth_file(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    began = time.time_ns()
    settings = Settings(
        count=1, interval=0.05, faults_per_hour=3600, faults=("level",), truth=str(truth), total=90
    )

    intake = run_to_the_end(settings)

    lines = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]
    assert lines
    for line in lines:
        assert (line["source"], line["device"], line["kind"]) == ("twin", "sim-1", "level")
        assert began + NANO <= line["start"] < line["end"]
        assert any(r.time == line["start"] and r.sensor == line["sensor"] for r in intake.all())


def test_a_disk_that_hangs_under_the_truth_holds_up_nobody_else(tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    settings = Settings(interval=0, truth=str(truth), faults_per_hour=3600, total=1)
    os.mkfifo(truth)  # opening it waits for a reader

    async def scenario() -> Collected:
        intake = Collected()
        task = asyncio.create_task(open_source("twin", settings).run(intake))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not task.done()
        assert intake.links == 0
        with open_reader(truth), pytest.raises(SourceEnded):
            await task
        return intake

    assert len(asyncio.run(scenario()).all()) == 1


@contextmanager
def open_reader(fifo: Path) -> Iterator[None]:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield
    finally:
        os.close(reader)


def test_a_truth_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    simulator = open_source("twin", Settings(truth=str(tmp_path / "absent" / "truth.jsonl")))

    with pytest.raises(
        SourceRefused, match=r"`twin`.*truth\.jsonl: No such file or directory; make its folder"
    ):
        asyncio.run(simulator.run(Collected()))


def test_a_fault_it_does_not_know_is_refused_by_name() -> None:
    told = r"sources\.twin\.faults\.1: 'melt' is not allowed: allowed: spike, drift, level, stuck, noise, silence$"
    with pytest.raises(SettingError, match=told):
        registry.open_source("twin", {"kind": "simulator", "faults": ["spike", "melt"]}, Home("pi-7"))


def test_a_fault_of_what_carries_readings_is_refused_with_where_it_can_be_had() -> None:
    told = (
        r"sources\.twin\.faults\.0: 'torn' spoils .* `gatewayctl simulate` has it; allowed here: spike, drift"
    )
    with pytest.raises(SettingError, match=told):
        registry.open_source("twin", {"kind": "simulator", "faults": ["torn"]}, Home("pi-7"))


def test_the_registry_opens_it() -> None:
    assert registry.open_source("twin", {"kind": "simulator"}, Home("pi-7")).name == "twin"
