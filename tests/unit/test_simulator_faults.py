from typing import get_args

import hypothesis
import pytest
from hypothesis import strategies as st

from devices.reading import Quality, Reading
from devices.simulator import Settings
from devices.simulator.faults import KINDS, Kind, Truth
from devices.simulator.plant import NANO, Plant, serial_lines
from devices.simulator.sensors import sensors_of

BEGAN = 1_700_000_000 * NANO
TICK = NANO // 10
SLOT = 12
TICKS = 5 * SLOT * 10

Shown = dict[tuple[str, str, int], float]


def run_plant(
    seed: int, faults: tuple[Kind, ...], faults_per_hour: float = 3600 / SLOT
) -> tuple[Shown, list[Truth]]:
    """What five slots of time show, by device, sensor and time, and what was wrong."""
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
    seed=st.integers(), faults=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4).map(tuple)
)
@hypothesis.settings(max_examples=20, deadline=None)
def test_the_truth_tells_of_every_fault_in_the_data_and_of_no_other(
    seed: int, faults: tuple[Kind, ...]
) -> None:
    clean, nothing = run_plant(seed, faults, faults_per_hour=0)
    shown, truths = run_plant(seed, faults)

    assert nothing == []
    assert len(clean) == 2 * 3 * TICKS
    assert len(truths) == 4, "one fault in each slot but the first"
    told = {
        (truth.device, truth.sensor, time): truth
        for truth in truths
        for time in range(truth.start, min(truth.end, BEGAN + TICKS * TICK), TICK)
    }
    for place in clean.keys() - told.keys():
        assert shown[place] == clean[place]
    for place, truth in told.items():
        match truth.kind:
            case "spike" | "level":
                assert shown[place] - clean[place] == pytest.approx(truth.magnitude, abs=0.21)
            case "stuck":
                assert shown[place] == shown[truth.device, truth.sensor, truth.start]
            case "silence":
                assert place not in shown


@hypothesis.given(seed=st.integers())
@hypothesis.settings(max_examples=20, deadline=None)
def test_faults_are_large_enough_to_be_found(seed: int) -> None:
    usual = {(s.device, s.name): s for name in ("sim-1", "sim-2") for s in sensors_of(name, seed)}
    shown, truths = run_plant(seed, ("spike", "level"))

    for truth in truths:
        sensor = usual[truth.device, truth.sensor]
        times = range(truth.start, truth.end, TICK)
        if truth.kind == "spike":
            assert len(times) == 1
            assert abs(truth.magnitude) >= 10 * sensor.sigma
        else:
            assert all(shown[truth.device, truth.sensor, time] > sensor.high for time in times)


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
    assert starts == {"spike": "spike", "level": "level", "stuck": "stuck", "silence": "silent"}
    spike = truths[0]
    assert f"{spike.magnitude:+.2f}".rstrip("0") in spike.words
    assert "times the noise" in spike.words


def test_a_device_says_its_readings_in_one_line() -> None:
    def reading(device: str, sensor: str, value: float) -> Reading:
        return Reading(device, sensor, value, 1, "line", 1, "", Quality.SIMULATED)

    readings = [
        reading("press-1", "temperature", 21.53),
        reading("press-1", "humidity", 40.2),
        reading("press-2", "temperature", 20.0),
    ]

    assert serial_lines(readings) == [
        "device=press-1 temperature=21.53 humidity=40.2",
        "device=press-2 temperature=20.0",
    ]
