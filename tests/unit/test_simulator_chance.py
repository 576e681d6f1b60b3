import statistics
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from devices.simulator import chance

COUNT = 20_000
KEY = chance.key_of(1, "sim-1", "temperature")
TICK = 100_000
"""A tenth of a second in microseconds: how far apart the numbers of two readings are."""


def test_chance_is_the_same_in_another_process_and_for_ever() -> None:
    code = "from devices.simulator import chance as c; print(repr((c.key_of(1, 'a'), c.uniform(7, 1), c.normal(7, 2))))"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.strip() == repr((chance.key_of(1, "a"), chance.uniform(7, 1), chance.normal(7, 2)))
    assert chance._mixed(0, 1) == 0xE220A8397B1DCDAF, "the first number of SplitMix64 from 0, as published"


@given(key=st.integers(), number=st.integers())
def test_uniform_chance_stays_below_one_and_normal_chance_within_its_farthest(key: int, number: int) -> None:
    assert 0 <= chance.uniform(key, number) < 1
    assert abs(chance.normal(key, number)) <= chance.FARTHEST


def test_uniform_chance_fills_its_range_evenly() -> None:
    for numbers in (range(COUNT), range(0, COUNT * TICK, TICK)):
        bins = [0] * 100
        for number in numbers:
            bins[int(100 * chance.uniform(KEY, number))] += 1
        expected = COUNT / 100
        chi_squared = sum((count - expected) ** 2 / expected for count in bins)
        assert 50 < chi_squared < 170, (
            "99 degrees of freedom: beyond either in fewer than one of 10,000 samples"
        )


def test_normal_chance_is_normal() -> None:
    values = [chance.normal(KEY, number) for number in range(0, COUNT * TICK, TICK)]
    normal = statistics.NormalDist()

    assert abs(statistics.fmean(values)) < 0.03
    assert abs(statistics.stdev(values) - 1) < 0.02
    ordered = sorted(values)
    distance = max(abs(normal.cdf(value) - place / COUNT) for place, value in enumerate(ordered))
    assert distance < 1.95 / COUNT**0.5, "Kolmogorov-Smirnov at one in 1,000"
    assert 3 < max(values) < 6


def test_neighbours_in_time_and_neighbouring_keys_have_nothing_in_common() -> None:
    values = [chance.normal(KEY, number) for number in range(0, COUNT * TICK, TICK)]
    sizes = [abs(value) for value in values]
    next_key = [chance.normal(KEY + 1, number) for number in range(0, COUNT * TICK, TICK)]

    for one, other in (
        (values[1:], values[:-1]),
        (values[2:], values[:-2]),
        (sizes[1:], sizes[:-1]),
        (values, next_key),
    ):
        assert abs(statistics.correlation(one, other)) < 4 / COUNT**0.5


def test_one_bit_of_the_question_changes_half_the_bits_of_the_answer() -> None:
    changed = [
        (chance._mixed(KEY, number) ^ chance._mixed(KEY ^ 1 << bit, number)).bit_count()
        for number in range(50)
        for bit in range(64)
    ]

    assert 31.5 < statistics.fmean(changed) < 32.5
    assert min(changed) > 8
