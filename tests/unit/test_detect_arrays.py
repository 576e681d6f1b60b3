"""The arrays find what plain Python finds, bit for bit, and wherever a poll ends."""

import random
from itertools import pairwise

import msgspec
import pytest
from detecting import keyed, only, series
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Found, Oracle
from stories import CONFIG, story

from gateway.detect.bank import Arrival, Bank, Said

SPIKES = only(spike=True)


def found(said: list[Said]) -> list[Found]:
    return [
        (offset, one.rule, one.event, one.score, one.low, one.high, one.first_seq, one.since)
        for offset, _, one in said
        if one.rule != "storm"
    ]


def cut(arrivals: list[Arrival], places: list[int]) -> list[list[Arrival]]:
    return [arrivals[start:end] for start, end in pairwise([0, *sorted(places), len(arrivals)])]


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


def test_floors_of_the_scale_are_the_same_in_both() -> None:
    """Levels that stay, with hardly any noise: the scale is 1 % of the long-run deviation, or the last digit ever written."""
    chance = random.Random(3)
    for digits in ((4, 4), (4, 0), (0, 4)):
        levels = [chance.uniform(-20, 20) for _ in range(12)]
        values = [
            round(level + chance.gauss(0, 1e-4), digits[place % 2]) + 0.0
            for place, level in enumerate(levels)
            for _ in range(150)
        ]
        arrivals = keyed(series(values))
        expected = Oracle(SPIKES).judge(arrivals)
        assert found(Bank(SPIKES).judge(arrivals)) == expected
        assert len(expected) > 10


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
