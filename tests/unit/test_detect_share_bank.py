"""The same with the bank that people use: a crash at any point changes nothing that is said of readings."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_partition import STEPS, Cluster, Step

from gateway.detect import share as share_module
from gateway.detect.bank import Bank
from gateway.detect.config import DetectConfig, Limits, Rules, Spike
from gateway.wire import Arrival, Reading

SECOND = 1_000_000_000
NOON = 1_767_355_200 * SECOND
CONFIG = DetectConfig(
    rules=(Rules(sensor="*", limits=Limits(low=-3.0, high=3.0), spike=Spike(warm_up=10), silence=False),)
)
COUNT = 120


def readings(seed: int) -> list[Arrival]:
    """Of three sensors, with jumps, repetitions, gaps and late ones."""
    chance = random.Random(seed)
    made = []
    for n in range(COUNT):
        value = chance.gauss(0, 0.3) + (chance.choice([5.0, -9.0]) if chance.random() < 0.08 else 0.0)
        at = NOON + (n - (7 if chance.random() < 0.03 else 0)) * SECOND
        made.append(
            Arrival(
                n,
                b"pi-7/press",
                Reading(
                    1, "pi-7", "spool", n + 1, "line", "press", f"s{n % 3}", at, at, round(value, 3), "bar"
                ),
            )
        )
    return made


def bank() -> Bank:
    return Bank(CONFIG)


@given(seed=st.integers(0, 1000), steps=STEPS)
@settings(max_examples=20)
def test_a_crash_at_any_point_changes_nothing_that_is_said(seed: int, steps: list[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(share_module, "MOST_ROWS", 2)
        cluster = Cluster(readings(seed), bank)
        cluster.play(steps)
        assert cluster.said == [one.anomaly for one in bank().judge(cluster.readings)]


def test_there_is_something_to_say() -> None:
    cluster = Cluster(readings(1), bank)
    cluster.play([])
    assert {"limits", "spike"} <= {one.rule for one in cluster.said}
