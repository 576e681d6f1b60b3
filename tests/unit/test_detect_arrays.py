"""The arrays find what plain Python finds, bit for bit, and wherever a poll ends."""

import random
from itertools import pairwise

import msgspec
import pytest
from detecting import NOON, SECOND, keyed
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Found, Oracle

from gateway.detect.bank import Arrival, Bank, Said
from gateway.detect.config import DetectConfig, Limits, Rate, Rules, Silence, Spike, SpikeAggregate, Stuck
from gateway.wire import VERSION, Reading

QUICK = Rules(
    "quick",
    limits=Limits(low=15.0, high=25.0),
    rate=Rate(0.5),
    stuck=Stuck(30.0),
    silence=Silence(100.0),
    spike=Spike(warm_up=10),
    spike_aggregate=SpikeAggregate(warm_up=12, threshold=4.0),
)
EARLY = Rules("early", limits=Limits(high=24.0, hysteresis=0.0), spike=Spike(warm_up=70, threshold=4.0))
CONFIG = DetectConfig(rules=(QUICK, EARLY))
SENSORS = ("quick", "early", "by default", "quick")


def found(said: list[Said]) -> list[Found]:
    return [
        (offset, one.rule, one.event, one.score, one.low, one.high, one.first_seq, one.since)
        for offset, _, one in said
        if one.rule != "storm"
    ]


def cut(arrivals: list[Arrival], places: list[int]) -> list[list[Arrival]]:
    return [arrivals[start:end] for start, end in pairwise([0, *sorted(places), len(arrivals)])]


def story(seed: int, count: int, pace: float) -> list[Arrival]:
    """Sensors that drift, jump, get stuck and fall silent, in disorder, some of it twice."""
    chance = random.Random(seed)
    time = [NOON] * len(SENSORS)
    value = [20.0] * len(SENSORS)
    readings: list[Reading] = []
    for seq in range(1, count + 1):
        which = chance.randrange(len(SENSORS))
        step = chance.choice(
            (pace, pace, pace, pace * chance.random(), 0.0, 900.0 * (chance.random() < 0.05))
        )
        time[which] += round(step * SECOND)
        if chance.random() < 0.002:
            time[which] += round(chance.choice((-3600, 90_000)) * SECOND)
        mood = chance.random()
        if mood < 0.7:
            value[which] = round(20 + chance.gauss(0, 0.4) + which, which % 3)
        elif mood < 0.72:
            value[which] = chance.choice((90.0, -5.0, 1e200, 1e-200, float("nan"), 24.5))
        at = time[which] - (round(chance.random() * 20 * SECOND) if chance.random() < 0.03 else 0)
        sensor = SENSORS[which]
        readings.append(
            Reading(
                VERSION, f"gw-{which // 3}", "s", seq, "line", f"d{which}", sensor, at, at, value[which], "°C"
            )
        )
        if chance.random() < 0.02:
            readings.append(chance.choice(readings[-20:]))
    return keyed(readings)


@pytest.mark.parametrize("pace", [1.0, 20.0, 120.0])
def test_a_long_story_is_told_the_same_in_arrays_and_in_plain_python(pace: float) -> None:
    arrivals = story(round(pace), 8000, pace)
    chance = random.Random(7)
    cuts = [chance.randrange(len(arrivals)) for _ in range(20)]

    expected = Oracle(CONFIG).judge(arrivals)
    bank = Bank(CONFIG)
    said = [one for part in cut(arrivals, cuts) for one in bank.judge(part)]

    assert found(said) == expected
    assert {one[1] for one in expected} >= {"limits", "rate", "silence", "spike"}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.5, 30.0]), st.lists(st.integers(0, 400), max_size=6))
def test_any_story_is_told_the_same_however_it_is_cut(seed: int, pace: float, cuts: list[int]) -> None:
    arrivals = story(seed, 400, pace)
    bank = Bank(CONFIG)

    said = [
        one
        for part in cut(arrivals, [min(place, len(arrivals)) for place in cuts])
        for one in bank.judge(part)
    ]

    assert found(said) == Oracle(CONFIG).judge(arrivals)
    assert [msgspec.structs.astuple(one.anomaly) for one in said] == [
        msgspec.structs.astuple(one.anomaly) for one in Bank(CONFIG).judge(arrivals)
    ]
