"""The rules that learn what is usual: rate, stuck, never seen, spikes of aggregates."""

import math
import random
from itertools import pairwise

import pytest
from detecting import NOON, SECOND, noise, numbers, only, reading, said_of, series
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.detect.config import Rate, SpikeAggregate, Stuck
from gateway.detect.text import LARGEST
from gateway.wire import decode_anomaly, encode_anomaly

SLOW = 100.0
"""Seconds between two readings: 1000 of them are more than a day."""

DAYS = SLOW / 86_400

BEFORE = [round(value, 2) for value in noise(1200)]
RATE, STUCK, SEEN = only(rate=True), only(stuck=True), only(never_seen=True)


def test_a_change_faster_than_ever_is_an_advisory_with_true_numbers() -> None:
    values = [*BEFORE, 35.0, 21.0, 21.1, 21.0, 21.0, 21.1]
    record = max(abs(b - a) / SLOW for a, b in pairwise(BEFORE))

    raised, cleared = said_of(series(values, SLOW), RATE)

    change, rate, count, fastest = numbers(
        raised.sentence,
        "rose by # °C in 100 s, # °C per s; fastest in # readings before: # °C per s",
    )
    assert change == pytest.approx(35.0 - BEFORE[-1])
    assert rate == pytest.approx(change / SLOW, rel=1e-3)
    assert raised.score == abs(35.0 - BEFORE[-1]) / SLOW
    assert count == len(BEFORE)
    assert fastest == pytest.approx(record, rel=1e-3)
    assert (raised.rule, raised.grade, raised.seq) == ("rate", "advisory", 1201)
    last, limit, seconds, peak = numbers(
        cleared.sentence,
        "back at # °C per s, 3 changes in a row of at most # °C per s, after # min; fastest # °C per s",
    )
    assert limit == pytest.approx((1.5 + 0.5 / (1204 * DAYS)) * record, rel=1e-3)
    assert (last, seconds) == (0.0, 7)
    assert peak == pytest.approx(14.0 / SLOW, abs=1e-4)
    assert cleared.id == raised.id


def test_a_change_as_fast_as_one_that_was_told_of_is_no_news() -> None:
    values = [*BEFORE, 35.0, 21.0, 21.1, 21.0, 21.1, 21.0, 35.0, 21.0, 21.1, 21.0, 21.1]

    assert [one.event for one in said_of(series(values, SLOW), RATE)] == ["raised", "cleared"]


@pytest.mark.parametrize(
    ("values", "interval"),
    [
        (BEFORE[:990], SLOW),
        (BEFORE[:860], SLOW),
        ([float(place % 3) for place in range(1200)], SLOW),
        ([float(place) for place in range(1200)], SLOW),
        ([21.0] * 1200, SLOW),
    ],
    ids=["too few", "too short", "states", "counter", "constant"],
)
def test_before_enough_is_known_and_of_states_and_counters_the_learned_rules_say_nothing(
    values: list[float], interval: float
) -> None:
    for config in (RATE, SEEN, STUCK):
        assert said_of(series([*values, 1e4, 1e4, 21.0], interval), config) == []


def test_a_rule_that_is_off_says_nothing() -> None:
    assert said_of(series([*BEFORE, 1e4, *[21.0] * 70, -1e4, 21.0], SLOW), only()) == []


def test_the_jitter_of_times_makes_no_rates() -> None:
    """Two readings a millisecond apart do not differ by thousands of degrees a second."""
    readings = series(BEFORE, SLOW)
    last = 1200 * SLOW
    readings += [reading(21.0 + place % 2, last + 0.001 * place, seq=1201 + place) for place in range(5)]

    assert said_of(readings, RATE) == []


def test_a_rate_that_somebody_set_is_an_alarm_from_the_second_reading_on() -> None:
    raised, updated, *_ = said_of(series([20.0, 21.5, 10.0, 10.0], 0.5), only(rate=Rate(2.0)))

    assert raised.sentence == "rose by 1.5 °C in 0.5 s, 3 °C per s; the limit is 2 °C per s"
    assert (
        updated.sentence
        == "fell by 11.5 °C in 0.5 s, 23 °C per s; the limit is 2 °C per s; 3 °C per s when last said"
    )
    assert (raised.grade, raised.score, updated.score) == ("alarm", 3.0, 23.0)


def test_a_sensor_that_is_stuck_is_told_of_with_the_run_and_the_longest_before() -> None:
    held = [21.07] * 60
    values = [*BEFORE, 22.0, *held, 21.5, 21.6]

    raised, updated, cleared = said_of(series(values, SLOW), STUCK)

    longest = longest_run(BEFORE)
    before = "never twice in a row before" if longest == 1 else f"at most {longest} in a row before"
    assert raised.sentence == f"21.07 °C in each of 20 readings, for 32 min; {before}"
    assert updated.sentence == f"21.07 °C in each of 40 readings, for 65 min; {before}"
    assert cleared.sentence == "moves again, to 21.5 °C, after 60 readings of 21.07 °C in 100 min"
    assert raised.since == NOON + round(1201 * SLOW) * SECOND, "the first of them"
    assert (raised.first_seq, raised.seq, raised.score) == (1202, 1221, 20.0)
    assert (raised.rule, raised.grade) == ("stuck", "alarm")


def test_a_sensor_that_got_stuck_once_is_told_of_again_at_any_other_value() -> None:
    values = [*BEFORE, *[22.0] * 60, *BEFORE[:50], *[22.0] * 250, *BEFORE[:50], *[22.01] * 25, 21.0]

    said = said_of(series(values, SLOW), STUCK)

    assert [one.event for one in said] == ["raised", "updated", "cleared", "raised", "cleared"]
    most = longest_run(BEFORE)
    before = "never twice in a row" if most == 1 else f"at most {most} in a row"
    assert (
        said[3].sentence
        == f"22.01 °C in each of 20 readings, for 32 min; {before} before, but 22 °C 250 times"
    )


def test_a_night_without_light_is_news_once_and_a_sensor_that_is_stuck_by_day_is_news_all_the_same() -> None:
    day = [round(400 + 50 * math.sin(place / 40) + place % 7, 1) for place in range(700)]
    nights = [*day, *[0.0] * 700] * 4

    said = said_of(series(nights, SLOW), STUCK)
    assert [one.event for one in said if one.event != "updated"] == ["raised", "cleared"]
    stuck = said_of(series([*nights, *day[:100], *[412.3] * 40], SLOW), STUCK)
    assert stuck[len(said)].sentence == (
        "412.3 °C in each of 35 readings, for 57 min; at most 7 in a row before, but 0 °C 700 times"
    )


def longest_run(values: list[float]) -> int:
    run = longest = 1
    for before, value in pairwise(values):
        run = run + 1 if value == before else 1
        longest = max(longest, run)
    return longest


def test_a_run_teaches_how_long_runs_may_be() -> None:
    coarse = [21.0, 21.5] * 5 + [20.0, 19.0, 18.0, 17.0, 16.0, 15.0] + [21.0] * 15
    values = coarse * 40

    assert said_of(series([*values, *[21.0] * 50, 20.0], SLOW), STUCK) == []
    said = said_of(series([*values, *[21.0] * 70, 20.0], SLOW), STUCK)
    assert [(one.event, one.score) for one in said] == [("raised", 80.0), ("cleared", 0.0)], (
        "5 x 16: a run goes on in the next part"
    )


def test_for_as_long_as_somebody_allows_a_state_may_stay() -> None:
    raised, _ = said_of(series([1, 1, 1, 1, 1, 0], 10.0), only(stuck=Stuck(35.0)))

    assert raised.sentence == "1 °C in each of 5 readings, for 40 s; 35 s are allowed"


def test_a_value_never_seen_is_an_alarm_with_the_range_and_how_far_it_is_outside() -> None:
    raised, cleared = said_of(series([*BEFORE, 25.0, 26.0, 21.0], SLOW), SEEN)

    low, high = min(BEFORE), max(BEFORE)
    value, bottom, top, count, percent = numbers(
        raised.sentence, "# °C is above the range # °C to # °C of # readings before, by # % of it"
    )
    assert (value, bottom, top, count) == (25.0, low, high, 1200)
    assert percent == pytest.approx(100 * (25.0 - high) / (high - low), rel=5e-3)
    assert (raised.low, raised.high, raised.rule, raised.grade) == (low, high, "never-seen", "alarm")
    back, bottom, top, _, least, most = numbers(
        cleared.sentence, "back at # °C within the range # °C to # °C after # min; meanwhile # °C to # °C"
    )
    assert (back, bottom, top, least, most) == (21.0, low, high, 25.0, 26.0)


def test_how_far_a_value_is_outside_of_a_range_of_next_to_nothing_is_still_a_number() -> None:
    """Or nobody could read the record."""
    tiny = [5e-324 * (place * 7 % 100) for place in range(1200)]

    (raised,) = said_of(series([*tiny, 1.0], SLOW), SEEN)

    assert raised.score == LARGEST
    assert decode_anomaly(encode_anomaly(raised)) == raised


def test_rain_that_falls_now_and_then_belongs_to_the_range_and_only_a_lone_value_far_off_is_left_out() -> (
    None
):
    generator = random.Random(1)
    rain = [round(3 * generator.expovariate(1.0), 1) if place % 30 == 0 else 0.0 for place in range(1200)]

    assert max(rain) > 4.0
    assert said_of(series([*rain, max(rain), 0.0], SLOW), SEEN) == []
    raised, _ = said_of(series([*rain[:50], 85.0, -127.0, *rain[50:], 86.0, 0.0], SLOW), SEEN)
    assert raised.sentence.startswith(
        f"86 °C is above the range 0 °C to {max(rain)} °C of 1202 readings before, save one of -127 °C and one of 85 °C, by "
    )


def test_what_was_seen_once_is_no_news_and_garbage_in_the_warm_up_hides_nothing() -> None:
    values = [*BEFORE[:500], 850.0, *BEFORE[500:], 25.0, 21.0, 25.0, 21.0]

    assert [one.event for one in said_of(series(values, SLOW), SEEN)] == ["raised", "cleared"]


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 0.8), st.integers(0, 10**6))
def test_a_small_shift_of_the_mean_is_found_that_no_single_reading_shows(shift: float, seed: int) -> None:
    before = noise(6 * 80, seed=seed)
    after = noise(60, seed=seed + 1, mean=21.0 + 4 * shift)
    config = only(spike_aggregate=SpikeAggregate(warm_up=60))

    said = said_of(series([*before, *after], 10.0), config)

    raised = said[0]
    value, count, score, mean, sigma = numbers(
        raised.sentence, "# °C as the mean of # readings in 50 s is # sigma from # ± # °C"
    )
    held = [one for one in series([*before, *after], 10.0) if raised.first_seq <= one.seq < raised.seq]
    assert count == len(held) == 6
    assert raised.value == pytest.approx(sum(float(one.value) for one in held) / 6)
    assert value == pytest.approx(raised.value)
    assert raised.since == held[0].time
    assert score == pytest.approx((value - mean) / sigma, rel=0.05)
    assert raised.score >= 7
    assert (raised.rule, raised.grade) == ("spike-aggregate", "advisory")
