import statistics
from typing import get_args

import hypothesis
import pytest
from hypothesis import strategies as st

from devices import registry
from devices.errors import SettingError
from devices.simulator import Settings
from devices.simulator.faults import KINDS, SHORTEST, TROUBLES, Kind, Truth
from devices.simulator.plant import NANO, Plant
from devices.simulator.sensors import Sensor, sensors_of

BEGAN = 1_700_000_000 * NANO
TICK = NANO // 10
SLOT = 12
SLOTS = 7
TICKS = SLOTS * SLOT * 10

Shown = dict[tuple[str, str, int], float]


def run_plant(
    seed: int, faults: tuple[Kind, ...], faults_per_hour: float = 3600 / SLOT
) -> tuple[Shown, list[Truth]]:
    """What seven slots of time show, by device, sensor and time, and what was wrong."""
    truths: list[Truth] = []
    settings = Settings(
        count=2, interval=TICK / NANO, seed=seed, faults=faults, faults_per_hour=faults_per_hour
    )
    plant = Plant("twin", settings, BEGAN, truths.append)
    shown: Shown = {}
    for time in range(BEGAN, BEGAN + TICKS * TICK, TICK):
        for reading in plant.readings_at(time, time):
            assert isinstance(reading.value, float)
            shown[reading.device, reading.sensor, reading.time] = reading.value
    return shown, truths


@hypothesis.given(
    seed=st.integers(), faults=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6).map(tuple)
)
@hypothesis.settings(max_examples=20, deadline=None)
def test_the_truth_tells_of_every_fault_in_the_data_and_of_no_other(
    seed: int, faults: tuple[Kind, ...]
) -> None:
    clean, nothing = run_plant(seed, faults, faults_per_hour=0)
    shown, truths = run_plant(seed, faults)

    assert nothing == []
    assert len(clean) == 2 * 3 * TICKS
    assert len(truths) == SLOTS - 1, "one fault in each slot but the first"
    told = {
        (truth.device, truth.sensor, time): truth
        for truth in truths
        for time in range(truth.start, min(truth.end, BEGAN + TICKS * TICK), TICK)
    }
    for place in clean.keys() - told.keys():
        assert shown[place] == clean[place]
    for place, truth in told.items():
        sensor = sensors(seed)[truth.device, truth.sensor]
        match truth.kind:
            case "spike" | "level":
                assert shown[place] - clean[place] == pytest.approx(truth.magnitude, abs=0.21)
            case "drift":
                share = (place[2] - truth.start) / (truth.end - truth.start)
                expected = truth.magnitude * share
                assert shown[place] - clean[place] == pytest.approx(expected, abs=0.21 + truth.magnitude / 20)
            case "stuck":
                assert shown[place] == shown[truth.device, truth.sensor, truth.start]
            case "noise":
                assert abs(shown[place] - clean[place]) < 7 * truth.magnitude
                assert truth.magnitude >= 10 * sensor.usual().sigma * 0.99
            case "silence":
                assert place not in shown


def sensors(seed: int) -> dict[tuple[str, str], Sensor]:
    return {
        (sensor.device, sensor.model.name): sensor
        for device in ("sim-1", "sim-2")
        for sensor in sensors_of(device, seed)
    }


@hypothesis.given(seed=st.integers())
@hypothesis.settings(max_examples=20, deadline=None)
def test_faults_are_large_enough_to_be_found(seed: int) -> None:
    clean, _ = run_plant(seed, KINDS, faults_per_hour=0)
    shown, truths = run_plant(seed, ("spike", "level", "drift", "noise"))

    for truth in truths:
        usual = sensors(seed)[truth.device, truth.sensor].usual()
        places = [(truth.device, truth.sensor, time) for time in range(truth.start, truth.end, TICK)]
        match truth.kind:
            case "spike":
                assert len(places) == 1
                assert abs(truth.magnitude) >= 19 * usual.sigma
            case "level":
                assert all(shown[place] > usual.high for place in places)
            case "drift":
                assert shown[places[-1]] > usual.high
                assert shown[places[0]] <= usual.high
            case "noise":
                away = [shown[place] - clean[place] for place in places]
                assert len(places) > 20
                assert statistics.stdev(away) > 5 * usual.sigma
                assert min(away) < 0 < max(away)


def test_the_same_seed_gives_the_same_data_and_faults_and_another_seed_others() -> None:
    assert run_plant(1, KINDS) == run_plant(1, KINDS)
    assert run_plant(1, KINDS) != run_plant(2, KINDS)


def test_kinds_of_fault_take_turns_and_begin_after_the_first_slot() -> None:
    _, truths = run_plant(1, KINDS)

    assert [truth.kind for truth in truths] == list(get_args(Kind))
    assert truths[0].start >= BEGAN + SLOT * NANO


def test_a_fault_is_told_in_words_with_its_numbers() -> None:
    _, truths = run_plant(1, KINDS)

    starts = {truth.kind: truth.words.split(" ")[0] for truth in truths}
    assert starts == {
        "spike": "spike",
        "drift": "drifts",
        "level": "level",
        "stuck": "stuck",
        "noise": "noise",
        "silence": "silent",
    }
    spike = truths[0]
    assert f"{spike.magnitude:+}".rstrip("0") in spike.words
    assert "times the noise" in spike.words


def test_a_plant_counts_the_readings_that_each_kind_of_fault_touched() -> None:
    settings = Settings(count=2, interval=TICK / NANO, faults=KINDS, faults_per_hour=3600 / SLOT)
    truths: list[Truth] = []
    plant = Plant("twin", settings, BEGAN, truths.append)

    made = sum(len(plant.readings_at(time, time)) for time in range(BEGAN, BEGAN + TICKS * TICK, TICK))

    for truth in truths:
        assert plant.touched[truth.kind] == len(range(truth.start, truth.end, TICK))
    assert made == 2 * 3 * TICKS - plant.touched["silence"]


@pytest.mark.parametrize("kind", TROUBLES)
def test_a_source_refuses_what_wants_a_line_or_a_broker_and_says_where_to_get_it(kind: str) -> None:
    with pytest.raises(
        SettingError, match=rf"^sources\.twin\.faults\.1: '{kind}' spoils .*gatewayctl simulate"
    ):
        registry.open_source("twin", {"kind": "simulator", "faults": ["spike", kind]})


def test_faults_that_might_fall_between_two_readings_are_refused() -> None:
    with pytest.raises(
        SettingError, match=r"faults_per_hour: 3600 is not allowed: .*at most 900, or a shorter"
    ):
        registry.open_source("twin", {"kind": "simulator", "faults_per_hour": 3600})


def test_more_readings_at_a_time_than_a_source_should_make_are_refused() -> None:
    sensors = [{"name": f"s{n}", "signal": [{"kind": "constant", "level": n}]} for n in range(20)]

    with pytest.raises(SettingError, match=r"count: 1000 is not allowed: with 20 sensors each .* 10000"):
        registry.open_source("twin", {"kind": "simulator", "count": 1000, "sensors": sensors})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("interval", [0.0, 0.1, 10.0, 100.0])
def test_a_fault_is_never_so_short_that_no_reading_sees_it(kind: Kind, interval: float) -> None:
    slot = max(40.0, 4 * interval)
    settings = Settings(interval=interval, faults=(kind,), faults_per_hour=3600 / slot)

    schedule = Plant("twin", settings, BEGAN, print).schedule

    assert schedule is not None
    assert schedule.fault_in(0) is None  # what is usual is shown first
    for number in range(1, 200):
        fault = schedule.fault_in(number)
        assert fault is not None
        assert fault.end - fault.start >= max(interval, SHORTEST) * 0.999
        assert schedule.began + number * slot <= fault.start
        assert fault.end <= schedule.began + (number + 1) * slot
