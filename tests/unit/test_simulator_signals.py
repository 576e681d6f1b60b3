import statistics
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.simulator import chance
from devices.simulator.sensors import sensors_of
from devices.simulator.signals import DAY, HOUR, Constant, Daily, Noise, Signal, Sine

times = st.floats(0, 4e9)
amplitudes = st.floats(-1e6, 1e6)
signals = st.recursive(
    st.one_of(
        st.builds(Constant, amplitudes),
        st.builds(Sine, amplitudes, st.floats(0.1, 1e6), times),
        st.builds(Daily, amplitudes, st.floats(0, 24)),
        st.builds(Noise, amplitudes, st.integers()),
    ),
    lambda parts: st.builds(lambda a, b: a + b, parts, parts),
    max_leaves=5,
)


@given(signal=signals, when=st.lists(times, min_size=1, max_size=5))
def test_a_value_depends_on_nothing_but_its_time(signal: Signal, when: list[float]) -> None:
    forwards = [signal.value_at(t) for t in when]

    assert [signal.value_at(t) for t in reversed(when)] == forwards[::-1]


@given(one=signals, other=signals, t=times)
def test_signals_add_up(one: Signal, other: Signal, t: float) -> None:
    assert (one + other).value_at(t) == pytest.approx(one.value_at(t) + other.value_at(t))


def test_a_daily_cycle_peaks_at_its_hour_and_is_lowest_half_a_day_later() -> None:
    cycle = Daily(4, peak=15)

    assert cycle.value_at(100 * DAY + 15 * HOUR) == pytest.approx(4)
    assert cycle.value_at(100 * DAY + 3 * HOUR) == pytest.approx(-4)


def test_noise_is_normal_and_independent_from_one_time_to_the_next() -> None:
    values = [Noise(2.0, seed=3).value_at(1.7e9 + n / 10) for n in range(4000)]

    assert statistics.fmean(values) == pytest.approx(0, abs=0.15)
    assert statistics.stdev(values) == pytest.approx(2, rel=0.05)
    assert statistics.correlation(values[1:], values[:-1]) == pytest.approx(0, abs=0.06)
    assert statistics.fmean(abs(value) < 2 for value in values) == pytest.approx(0.683, abs=0.03)


def test_another_seed_makes_other_noise() -> None:
    assert Noise(1, seed=1).value_at(5) != Noise(1, seed=2).value_at(5)


def test_chance_is_the_same_in_another_process() -> None:
    code = (
        "from devices.simulator import chance; print(repr((chance.uniform(1, 'a'), chance.normal(2, 0.5))))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.strip() == repr((chance.uniform(1, "a"), chance.normal(2, 0.5)))


@given(asked=st.tuples(st.integers(), st.floats(), st.text()))
def test_uniform_chance_stays_below_one(asked: tuple[int, float, str]) -> None:
    assert 0 <= chance.uniform(*asked) < 1


@given(device=st.text(min_size=1, max_size=10), seed=st.integers(), t=times)
def test_a_healthy_sensor_stays_within_its_usual_range(device: str, seed: int, t: float) -> None:
    for sensor in sensors_of(device, seed):
        assert sensor.low < sensor.signal.value_at(t) < sensor.high


def test_devices_differ() -> None:
    one, other = sensors_of("sim-1", 1)[0], sensors_of("sim-2", 1)[0]

    assert one.signal.value_at(5) != other.signal.value_at(5)
