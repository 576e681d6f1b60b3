import itertools
import math
import statistics
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import registry
from devices.errors import SettingError
from devices.simulator.sensors import MODELS, Model, sensors_of
from devices.simulator.signals import (
    DAY,
    HOUR,
    WEEK,
    Constant,
    Counter,
    Daily,
    Noise,
    Part,
    Sine,
    Square,
    Sum,
    Walk,
    Weekly,
)

times = st.floats(0, 4e9)
keys = st.integers(0, 2**64 - 1)
sizes = st.floats(0, 1e6)
periods = st.floats(0.1, 1e6)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Constant, st.floats(-1e6, 1e6), sizes),
    st.builds(Sine, sizes, periods, times),
    st.builds(Square, sizes, periods, st.floats(0, 1), times),
    st.builds(Daily, sizes, st.floats(0, 24)),
    st.builds(Weekly, sizes, st.floats(1, DAY)),
    st.builds(Walk, sizes, periods),
    st.builds(Noise, sizes),
    st.builds(Counter, st.floats(1e-6, 1e3), st.floats(1, 1e9), st.floats(0, 1e6)),
)
signals = st.lists(parts, min_size=1, max_size=5).map(lambda some: Sum(tuple(some)))
MONDAY = 4 * DAY


@given(signal=signals, key=keys, when=st.lists(times, min_size=1, max_size=5))
def test_a_value_depends_on_nothing_but_its_time_and_key(signal: Sum, key: int, when: list[float]) -> None:
    forwards = [signal.value_at(t, key) for t in when]

    assert [signal.value_at(t, key) for t in reversed(when)] == forwards[::-1]


@given(signal=signals, key=keys, t=times)
def test_no_value_is_outside_the_bounds(signal: Sum, key: int, t: float) -> None:
    low, high = signal.bounds()
    rounding = 1e-9 * max(abs(low), abs(high))

    assert low - rounding <= signal.value_at(t, key) <= high + rounding


def test_values_are_the_same_in_another_process() -> None:
    code = (
        "from devices.simulator.signals import *\n"
        "s = Sum((Constant(1, 2), Walk(3), Noise(1), Counter(1)))\n"
        "print(repr([s.value_at(t, 9) for t in (0.0, 1.7e9 + 0.1)]))"
    )
    signal = Sum((Constant(1, 2), Walk(3), Noise(1), Counter(1)))

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.strip() == repr([signal.value_at(t, 9) for t in (0.0, 1.7e9 + 0.1)])


def test_parts_add_up() -> None:
    assert Sum((Constant(21), Daily(4, peak=15), Constant(-1))).value_at(15 * HOUR, 3) == pytest.approx(24)


def test_a_sine_rises_through_zero_at_its_phase() -> None:
    wave = Sine(2, period=40, phase=5)

    assert wave.value_at(5, 0) == pytest.approx(0)
    assert wave.value_at(15, 0) == pytest.approx(2)
    assert wave.value_at(35, 0) == pytest.approx(-2)


def test_a_daily_cycle_peaks_at_its_hour_and_is_lowest_half_a_day_later() -> None:
    cycle = Daily(4, peak=15)

    assert cycle.value_at(100 * DAY + 15 * HOUR, 0) == pytest.approx(4)
    assert cycle.value_at(100 * DAY + 3 * HOUR, 0) == pytest.approx(-4)


@pytest.mark.parametrize(
    ("after_monday", "value"),
    [
        (0, -3),
        (HOUR / 2, 0),
        (HOUR, 3),
        (5 * DAY - 1, 3),
        (5 * DAY, 3),
        (5 * DAY + HOUR / 2, 0),
        (5 * DAY + HOUR, -3),
        (WEEK - 1, -3),
    ],
)
def test_a_week_has_five_working_days_and_a_weekend(after_monday: float, value: float) -> None:
    assert Weekly(3, ramp=HOUR).value_at(MONDAY + 2800 * WEEK + after_monday, 0) == pytest.approx(value)


def test_a_square_wave_is_high_for_its_duty() -> None:
    wave = Square(5, period=10, duty=0.3, phase=2)

    assert [wave.value_at(t, 0) for t in (2, 4.9, 5.1, 11.9, 12)] == [5, 5, -5, -5, 5]


@given(
    counter=st.builds(Counter, st.floats(1e-6, 1e3), st.floats(1, 1e9), st.floats(10, 1e6)),
    key=keys,
    t=times,
    later=st.floats(0, 1e4),
)
def test_a_counter_falls_only_where_it_wraps_or_is_reset(
    counter: Counter, key: int, t: float, later: float
) -> None:
    endless = msgspec.structs.replace(counter, reset=0.0)
    before, after = endless.value_at(t, key), endless.value_at(t + later, key)
    if after < before:
        assert later * counter.rate >= counter.wrap - before - 1e-6 * counter.wrap

    before, after = counter.value_at(t, key), counter.value_at(t + later, key)
    if after < before:
        reset = t // counter.reset != (t + later) // counter.reset
        assert reset or later * counter.rate >= counter.wrap - before - 1e-6 * counter.wrap


def test_a_counter_counts_at_its_rate_and_begins_elsewhere_on_each_device() -> None:
    counter = Counter(2.5, wrap=1e9)

    assert counter.value_at(1e6 + 4, 1) - counter.value_at(1e6, 1) == pytest.approx(10)
    assert counter.value_at(1e6, 1) != counter.value_at(1e6, 2)
    assert Counter(2.5, reset=DAY).value_at(3 * DAY + 10, 1) == 25


def test_noise_is_normal_and_independent_from_one_time_and_device_to_the_next() -> None:
    values = [Noise(2.0).value_at(1.7e9 + n / 10, 3) for n in range(4000)]
    others = [Noise(2.0).value_at(1.7e9 + n / 10, 4) for n in range(4000)]

    assert statistics.fmean(values) == pytest.approx(0, abs=0.15)
    assert statistics.stdev(values) == pytest.approx(2, rel=0.05)
    assert abs(statistics.correlation(values[1:], values[:-1])) < 0.06
    assert abs(statistics.correlation(values, others)) < 0.06


def test_a_walk_is_smooth_remembers_for_a_while_and_comes_back() -> None:
    walk = Walk(10, period=HOUR)
    seconds = [walk.value_at(1.7e9 + n, 5) for n in range(5000)]
    values = [walk.value_at(1.7e9 + n, 5) for n in range(0, 300_000, 60)]  # a minute apart

    assert max(abs(b - a) for a, b in itertools.pairwise(seconds)) < 0.25, "no jumps from second to second"
    assert statistics.correlation(values[1:], values[:-1]) > 0.9
    assert abs(statistics.correlation(values[120:], values[:-120])) < 0.3
    assert abs(statistics.fmean(values)) < 1.5
    assert max(values) > 4
    assert min(values) < -4


def test_two_noises_in_one_sum_are_not_the_same_noise() -> None:
    both = Sum((Noise(1), Noise(1)))
    values = [both.value_at(1.7e9 + n, 5) for n in range(2000)]

    assert statistics.stdev(values) == pytest.approx(math.sqrt(2), rel=0.07)


@given(device=st.text(min_size=1, max_size=10), seed=st.integers(), t=times)
def test_a_healthy_sensor_stays_within_its_usual_range(device: str, seed: int, t: float) -> None:
    for sensor in sensors_of(device, seed):
        assert sensor.usual().low <= sensor.value_at(t) <= sensor.usual().high


def test_devices_and_seeds_differ() -> None:
    one, other, again = sensors_of("sim-1", 1)[0], sensors_of("sim-2", 1)[0], sensors_of("sim-1", 2)[0]

    assert len({one.value_at(5), other.value_at(5), again.value_at(5)}) == 3


def test_a_signal_without_noise_has_the_last_digit_for_its_sigma() -> None:
    sensor = sensors_of("sim-1", 1, (Model("flow", (Constant(12),), digits=1),))[0]

    assert sensor.usual().sigma == pytest.approx(0.1)


FLOW = {"name": "flow", "signal": [{"kind": "constant", "level": 12}, {"kind": "noise", "sigma": 0.2}]}


def test_a_configured_sensor_is_what_the_same_structs_make() -> None:
    table = [
        {
            "name": "flow",
            "unit": "l/min",
            "digits": 1,
            "signal": [{"kind": "walk", "amplitude": 3, "period": 60}],
        }
    ]

    assert msgspec.convert(table, tuple[Model, ...]) == (Model("flow", (Walk(3, 60),), "l/min", 1),)
    assert msgspec.convert(msgspec.to_builtins(MODELS), tuple[Model, ...]) == MODELS


@pytest.mark.parametrize(
    ("sensors", "told"),
    [
        (
            [{"name": "flow", "signal": [{"kind": "constan"}]}],
            r"sensors\.0\.signal\.0\.kind: 'constan' is not allowed: allowed: 'constant', 'counter', 'daily'",
        ),
        (
            [{"name": "flow", "signal": [{"kind": "walk", "amplitud": 1}]}],
            r"sensors\.0\.signal\.0\.amplitud: unknown key; did you mean `amplitude`\? allowed here: amplitude, period",
        ),
        (
            [{"name": "flow", "signal": [FLOW["signal"][0], {"kind": "noise", "sigma": -1}]}],
            r"sensors\.0\.signal\.1\.sigma: -1 is not allowed: expected `float` >= 0",
        ),
        (
            [{"name": "flow", "signal": [{"kind": "noise", "sigma": math.nan}]}],
            r"sensors\.0\.signal\.0\.sigma: nan is not allowed",
        ),
        (
            [{"name": "flow", "signal": [{"kind": "sine", "amplitude": 1}]}],
            r"sensors\.0\.signal\.0\.period: is required and missing",
        ),
        ([{"name": "flow", "signal": []}], r"sensors\.0\.signal: must not be empty"),
        ([{**FLOW, "name": "two words"}], r"sensors\.0\.name: 'two words' is not allowed"),
        ([{**FLOW, "name": "line\n"}], r"sensors\.0\.name: 'line\\n' is not allowed"),
        ([FLOW, FLOW], r"sensors\.1\.name: 'flow' is the name of two sensors; allowed: each name once"),
    ],
)
def test_a_mistake_is_refused_with_its_key_its_value_and_what_is_allowed(
    sensors: list[object], told: str
) -> None:
    with pytest.raises(SettingError, match=rf"^sources\.twin\.{told}"):
        registry.open_source("twin", {"kind": "simulator", "sensors": sensors})
