"""The same with the bank that people use: a crash at any point changes nothing that is said of readings."""

import random
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from detect_fleet import SETTINGS, SPEAK, WARM_UP, Fleet
from detect_terms import Terms, compared
from detecting import keyed, only, reading, series
from hypothesis import given, settings
from hypothesis import strategies as st
from one_partition import STEPS, Cluster, Step

from gateway.detect import share as share_module
from gateway.detect.bank import Bank
from gateway.detect.config import DetectConfig, Limits, Rules, Spike, load_detect
from gateway.kafka.consumer import Polled
from gateway.wire import Arrival, Command, Reading, WireError, decode_reading

SECOND = 1_000_000_000
NOON = 1_767_355_200 * SECOND
CONFIG = DetectConfig(
    rules=(Rules(sensor="*", limits=Limits(low=-3.0, high=3.0), spike=Spike(warm_up=10), silence=False),)
)
HOT = only(limits=Limits(high=80.0))
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


def test_an_anomaly_that_no_rule_judges_any_more_is_cleared_also_where_readings_are_read_again() -> None:
    cluster = Cluster(keyed(series([20.0, 99.0, *[99.0] * 20])), lambda: Bank(HOT))
    share = cluster.share()
    cluster.poll(share, 5)
    cluster.snapshot(share, 9)
    cluster.poll(share, 5)
    cluster.commit(share)

    successor = Cluster(cluster.readings, lambda: Bank(only()))
    successor.rows, successor.committed = cluster.rows, cluster.committed
    successor.play([])

    assert [one.event for one in cluster.said] == ["raised"]
    assert [one.event for one in successor.said] == ["cleared"]


def test_readings_by_a_clock_in_doubt_show_nobody_silent() -> None:
    others = [reading(20.0 + n % 7, 10.0 * n, seq=n + 1, device="boiler-8") for n in range(148)]
    mine = [reading(20.0 + n % 7, 30.0 * n, seq=n + 1) for n in range(40)]
    for flags, events in (((), ["raised"]), (("clock_unset",), [])):
        late = [
            msgspec.structs.replace(one, flags=flags) if n >= 118 else one for n, one in enumerate(others)
        ]
        readings = sorted([*mine, *late], key=lambda one: one.time)
        cluster = Cluster(keyed(readings), lambda: Bank(only(silence=True)))
        share = cluster.share()
        while cluster.poll(share, 1):
            cluster.commit(share)
        assert [one.event for one in cluster.said] == events


@pytest.mark.parametrize("ahead", [[], [1e6], [1e6, 2e6]])
def test_a_clock_that_was_ahead_for_a_moment_hides_no_silence_afterwards(ahead: list[float]) -> None:
    cluster = Cluster(
        keyed(
            [
                *(reading(20.0, 30.0 * n, seq=n + 1) for n in range(40)),
                *(reading(20.0, late, seq=1, device="boiler-9") for late in ahead),
                *(reading(20.0, 1170.0 + 10 * n, seq=n + 1, device="boiler-8") for n in range(25)),
            ]
        ),
        lambda: Bank(only(silence=True)),
    )
    share = cluster.share()
    while cluster.poll(share, 1):
        cluster.commit(share)

    assert [(one.event, one.device) for one in cluster.said if one.event == "raised"] == [
        ("raised", "boiler-7")
    ]


@pytest.fixture(scope="module")
def fleet() -> list[Arrival]:
    """What the laboratory sends to one partition: of two gateways, one of which falls silent."""
    made: list[Arrival] = []
    all_of_it = Fleet("1")
    while all_of_it.steps < WARM_UP + 200:
        for piece in all_of_it.step():
            for key, value in piece:
                if key.endswith(("gw-1-0", "loose-0")):
                    with suppress(WireError):
                        made.append(Arrival(len(made), key.encode(), decode_reading(value)))
    return made


@pytest.mark.parametrize("seed", range(2))
def test_crashes_change_nothing_of_what_any_rule_says(
    fleet: list[Arrival], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(share_module, "MOST_ROWS", 7)
    path = tmp_path / "detect.toml"
    path.write_text(SETTINGS)
    config = load_detect(path)
    chance, cluster = random.Random(seed), Cluster(fleet, lambda: Bank(config))
    share, quiet = cluster.share(), len(fleet) * 4 // 5  # until then there are but few rules that speak
    while share.next < cluster.high:
        most = 60 if share.next > quiet else 5000
        some = fleet[share.next : share.next + chance.randint(1, most)]
        share.judge(Polled(0, some, some[-1].offset + 1))
        if chance.random() < 0.9:
            cluster.commit(share)
        if share.live and chance.random() < 0.7 and not cluster.snapshot(share, chance.randint(1, 12)):
            share = cluster.share()  # in the midst of it
        if share.live and cluster.said:
            some_of_it = chance.choice(cluster.said[-30:])
            share.command([Command(1, some_of_it.id, "ack", "somebody far in the future", 2**62)])
        if chance.random() < 0.25:
            share = cluster.share()
    cluster.commit(share)

    undisturbed = [one.anomaly for one in Bank(config).judge(fleet)]
    due, said = ([one for one in map(compared, each) if one] for each in (undisturbed, cluster.said))
    assert said == due
    assert {(one.rule, one.grade) for one in due} == SPEAK
    terms = Terms()
    assert not [problem for one in cluster.said if compared(one) is None and (problem := terms.take(one))]
    assert {one.id for one in undisturbed if one.rule == "silence"} <= terms.silences
