"""Sensors whose readings come in another unit."""

import msgspec
from detecting import keyed, noise, only, series
from hypothesis import given
from hypothesis import strategies as st

from gateway.detect.bank import Arrival, Bank
from gateway.detect.config import DetectConfig, Limits, Spike, Stuck

SLOW = 100.0


def units(values: list[float], names: list[str], interval: float = 1.0) -> list[Arrival]:
    readings = series(values, interval)
    return keyed(msgspec.structs.replace(one, unit=unit) for one, unit in zip(readings, names, strict=True))


def test_a_sensor_in_another_unit_is_learnt_anew_and_what_was_open_is_cleared_with_the_reason() -> None:
    celsius, fahrenheit = noise(1300), [1.8 * value + 32 for value in noise(1300, seed=2)]
    arrivals = units([*celsius, 40.0, *fahrenheit], ["°C"] * 1301 + ["°F"] * 1300, SLOW)

    bank = Bank(DetectConfig())
    said = [one.anomaly for one in bank.judge(arrivals)]

    raised, cleared = ({one.rule for one in said if one.event == event} for event in ("raised", "cleared"))
    assert raised == cleared == {"spike", "rate", "never-seen"}
    assert all(
        ("the unit is °F now and was °C; the sensor is learnt anew" in one.sentence)
        == (one.event == "cleared")
        for one in said
    )
    assert (bank.open, bank.counts.unit_changed) == (0, 1)


def test_what_was_learnt_in_the_new_unit_counts_and_a_reading_without_unit_is_of_the_same() -> None:
    fahrenheit = [round(1.8 * value + 32, 1) for value in noise(1300, seed=2)]
    names = ["°C"] * 100 + ["°F"] * 1300 + [""]
    bank = Bank(only(never_seen=True))

    (raised,) = bank.judge(units([*noise(100), *fahrenheit, 21.0], names, SLOW))

    low, high = min(fahrenheit), max(fahrenheit)
    assert raised.anomaly.sentence.startswith(
        f"21 is below the range {low} to {high} of 1300 readings before"
    )


@given(st.lists(st.sampled_from(["", "°C", "°F"]), min_size=30, max_size=30), st.integers(1, 29))
def test_units_change_the_same_however_the_readings_are_cut(names: list[str], cut: int) -> None:
    config = only(limits=Limits(high=80.0), spike=Spike(warm_up=3), stuck=Stuck(after=1.0))
    arrivals = units([20.0, 20.0, 20.5, 95.0, 20.0, 21.0] * 5, names)
    whole, parts = Bank(config), Bank(config)

    told = whole.judge(arrivals)

    assert list(parts.judge(arrivals[:cut])) + list(parts.judge(arrivals[cut:])) == told
    assert whole.counts == parts.counts


@given(st.lists(st.sampled_from(["", "°C", "°F"]), min_size=30, max_size=30), st.integers(1, 29))
def test_a_restored_sensor_knows_its_unit(names: list[str], cut: int) -> None:
    config = only(limits=Limits(high=80.0), stuck=Stuck(after=1.0))
    arrivals = units([20.0, 20.0, 20.5, 95.0, 20.0, 21.0] * 5, names)
    first, second = Bank(config), Bank(config)
    first.judge(arrivals[:cut])
    for key, value in first.snapshot(10):
        second.restore(key, value)

    assert second.judge(arrivals) == first.judge(arrivals[cut:])
