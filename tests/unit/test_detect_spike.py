import math
import random
import re
import statistics
import struct
from itertools import zip_longest

import pytest
from detecting import NOON, SECOND, noise, reading, said_of, series
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.detect.config import DetectConfig, Rules, Spike
from gateway.detect.text import LARGEST
from gateway.wire import Anomaly

ONLY = Rules(rate=False, stuck=False, silence=False, never_seen=False, spike_aggregate=False)
CONFIG = DetectConfig(rules=(ONLY,))
WARM_UP = Spike().warm_up


def numbers(said: Anomaly, pattern: str) -> list[float]:
    found = re.match(pattern.replace("#", r"(-?[\d.]+(?:e[-+]\d+)?)"), said.sentence)
    assert found is not None, said.sentence
    return [float(number) for number in found.groups()]


def reference(values: list[float], interval: float, tau: float, warm_up: int) -> tuple[float, float]:
    """Expected value and deviation of `values` as docs/detection.md describes them, computed the plain way."""
    start = values[:warm_up]
    mean = statistics.median(start)
    mad = 1.4826 * statistics.median([abs(value - mean) for value in start])
    variance = sum(min(abs(value - mean), 6 * mad) ** 2 for value in start) / (warm_up - 1)
    lagged = mean
    for count, value in enumerate(values[warm_up:], warm_up + 1):
        alpha = max(1 / count, min(interval / (tau + interval), 1 / 20))
        limit = 6 * math.sqrt(variance)
        residual = max(-limit, min(limit, value - (2 * mean - lagged)))
        mean += alpha * (2 * mean - lagged + residual - mean)
        lagged += alpha * (mean - lagged)
        variance += min(alpha, 1 / 60) * (residual**2 - variance)
    return 2 * mean - lagged, math.sqrt(variance)


@pytest.mark.parametrize("before", [60, 61, 300, 2500])
def test_the_sentence_of_a_spike_is_true(before: int) -> None:
    values = noise(before, seed=before)
    mean, sigma = reference(values, 1.0, 900.0, WARM_UP)

    (raised,) = said_of(series([*values, 30.0]), CONFIG)

    value, score, shown_mean, shown_sigma = numbers(raised, "# °C is # sigma from # ± # °C")
    assert value == raised.value == 30.0
    assert shown_mean == pytest.approx(mean, abs=0.006)
    assert shown_sigma == pytest.approx(sigma, abs=0.006)
    assert raised.score == pytest.approx((30.0 - mean) / sigma)
    assert score == pytest.approx(raised.score, abs=0.051)
    assert raised.low == pytest.approx(mean - 7 * sigma)
    assert raised.high == pytest.approx(mean + 7 * sigma)
    assert (raised.event, raised.rule, raised.grade) == ("raised", "spike", "advisory")


def test_nothing_is_said_before_the_warm_up_is_over() -> None:
    values = [*noise(WARM_UP - 1), 1e6]

    assert said_of(series(values), CONFIG) == []


def test_garbage_during_warm_up_does_not_blind_the_rule() -> None:
    values = noise(WARM_UP)
    values[3] = values[40] = 850.0

    (raised,) = said_of(series([*values, 30.0]), CONFIG)

    assert raised.score > 7


def test_a_spike_is_cleared_when_the_sensor_is_back() -> None:
    before = noise(300)
    mean, sigma = reference(before, 10.0, 900.0, WARM_UP)
    after = [21.1, 20.9, 21.3, 21.0]

    raised, cleared = said_of(series([*before, 26.0, 27.0, *after], 10.0), CONFIG)

    value, shown_mean, shown_sigma, seconds, farthest, score = numbers(
        cleared,
        "back at # °C, 3 readings within 3.5 sigma of # ± # °C, after # s; farthest # °C, # sigma",
    )
    assert value == 21.3 == cleared.value
    assert all(abs(one - mean) < 3.5 * sigma for one in after[:3])
    assert shown_mean == pytest.approx(mean, abs=0.006)
    assert shown_sigma == pytest.approx(sigma, abs=0.006)
    assert seconds * SECOND == cleared.time - raised.time == cleared.time - cleared.since
    assert farthest == 27.0
    assert score == pytest.approx((27.0 - mean) / sigma, abs=0.051)
    assert raised.id == cleared.id


def test_a_level_that_stays_is_accepted_and_is_no_anomaly_from_then_on() -> None:
    before, after = noise(300), noise(1000, seed=2, mean=35.0)

    raised, cleared = said_of(series([*before, *after]), CONFIG)

    level, sigma, count, seconds, was, was_sigma = numbers(
        cleared, "accepted as new level: # ± # °C in the # readings of the last # s; was # ± # °C"
    )
    old_mean, old_sigma = reference(before, 1.0, 900.0, WARM_UP)
    accepted = after[:WARM_UP]
    assert level == pytest.approx(statistics.median(accepted), abs=0.006)
    assert sigma == pytest.approx(reference(accepted, 1.0, 900.0, WARM_UP)[1], abs=0.006)
    assert count == WARM_UP == cleared.seq - raised.seq + 1
    assert seconds == WARM_UP - 1
    assert was == pytest.approx(old_mean, abs=0.006)
    assert was_sigma == pytest.approx(old_sigma, abs=0.006)


def test_after_a_level_was_accepted_a_spike_from_it_is_found() -> None:
    values = [*noise(300), *noise(300, seed=2, mean=35.0), 21.0]

    said = said_of(series(values), CONFIG)

    assert [one.event for one in said] == ["raised", "cleared", "raised"]


def test_it_is_updated_only_when_twice_as_far_off() -> None:
    values = [*noise(300), 26.0, 29.0, 41.0, 42.0]

    raised, updated = said_of(series(values), CONFIG)

    _, score, _, _, before = numbers(updated, "# °C is # sigma from # ± # °C; # sigma when last said")
    assert updated.event == "updated"
    assert updated.value == 41.0
    assert before == pytest.approx(raised.score, abs=0.051)
    assert score >= 2 * raised.score - 0.1
    assert updated.id == raised.id


def test_a_sensor_that_spikes_again_and_again_is_not_reported_each_time() -> None:
    quiet = noise(300)
    flapping = [26.0, 21.0, 21.1, 20.9, 21.0] * 10

    said = said_of(series([*quiet, *flapping]), CONFIG)

    assert [one.event for one in said] == ["raised", "cleared"]


def test_an_escalation_is_reported_at_once_even_so() -> None:
    values = [*noise(300), 26.0, 21.0, 21.1, 20.9, 26.2, 21.0, 28.5]

    assert [one.value for one in said_of(series(values), CONFIG) if one.event == "raised"] == [26.0, 28.5]


constants = st.one_of(
    st.integers(-(10**15), 10**15), st.floats(-1e15, 1e15), st.floats(allow_nan=False, allow_infinity=False)
)


@given(constants, st.integers(60, 300), st.floats(0.001, 100_000))
def test_a_constant_never_alarms(value: float, count: int, interval: float) -> None:
    assert said_of(series([value] * count, interval), CONFIG) == []


@given(st.floats(-1e6, 1e6), st.lists(st.integers(-3, 3), min_size=100, max_size=200))
def test_a_constant_never_alarms_on_rounding(value: float, steps: list[int]) -> None:
    """Neither in the last bits of a double, nor through single precision, nor in the last digit shown."""
    exact = value
    for step in steps:
        exact = math.nextafter(exact, math.inf if step > 0 else -math.inf) if step else exact
    single = [struct.unpack("f", struct.pack("f", value * (1 + step * 1e-7)))[0] for step in steps]
    digit = [round(value, 1) + round(step * 0.1, 1) for step in steps]
    flat = [round(value, 1)] * 80

    assert said_of(series([*([value] * 80), exact, value]), CONFIG) == []
    assert said_of(series([*([single[0]] * 80), *single]), CONFIG) == []
    assert said_of(series([*flat, *[round(one, 1) for one in digit]]), CONFIG) == []


@settings(max_examples=30)
@given(st.integers(0, 10**9), st.integers(300, 800), st.sampled_from([-10.0, 10.0]))
def test_a_spike_of_ten_sigma_is_always_found(seed: int, place: int, sigmas: float) -> None:
    values = noise(place, seed=seed)

    said = said_of(series([*values, 21.0 + sigmas * 0.4]), CONFIG)

    assert [(one.event, one.seq) for one in said] == [("raised", place + 1)]


def test_false_alarms_are_rarer_than_one_in_twenty_sensor_days() -> None:
    """A day every 10 s of 20 sensors: a daily cycle, slow weather, noise, rounding to a tenth or hundredth."""
    raised = 0
    for seed in range(20):
        generator = random.Random(seed)
        weather, values = 0.0, []
        digits = seed % 2 + 1
        for place in range(8640):
            weather += generator.gauss(0, 0.01) - 0.001 * weather
            cycle = 5 * math.sin(2 * math.pi * place / 8640)
            values.append(round(20 + cycle + weather + generator.gauss(0, 0.2), digits))
        raised += sum(one.event == "raised" for one in said_of(series(values, 10.0), CONFIG))

    assert raised <= 1


mixed = st.lists(
    st.one_of(st.floats(-100, 100), st.floats(20, 22), st.sampled_from([21.0, 21.5, 850.0, 1e300])),
    max_size=200,
)


@settings(max_examples=50)
@given(mixed)
@example([0.0] * 9 + [1e300] * 3 + [0.0])
def test_no_anomaly_outlasts_a_warm_up(values: list[float]) -> None:
    quick = DetectConfig(rules=(Rules(spike=Spike(warm_up=10)), ONLY))
    readings = series([*noise(10), *values])
    said = said_of(readings, quick)

    for raised, follower in zip_longest(said, said[1:]):
        if raised.event != "cleared":
            until = follower.seq if follower else readings[-1].seq
            first = (raised.since - NOON) // SECOND + 1
            judged = [r for r in readings if first < r.seq <= until and abs(float(r.value)) < LARGEST]
            assert len(judged) < 10, "the first reading and so many more are a warm-up"


def test_numbers_too_large_for_a_measurement_do_not_upset_the_rule() -> None:
    values = [*noise(70), 1e300, -1e308, 10**300, *noise(5, seed=3)]

    assert said_of(series(values), CONFIG) == []


def test_a_gap_counts_as_one_reading() -> None:
    """After a night switched off one reading does not become the new mean."""
    readings = [*series(noise(300)), reading(23.0, 50_000, seq=301), reading(30.0, 50_001, seq=302)]

    (raised,) = said_of(readings, CONFIG)

    assert numbers(raised, "# °C is # sigma from # ± # °C")[2] < 21.3
