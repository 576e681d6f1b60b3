from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from detecting import KEY, OFF, keyed, noise, reading, said_of, series
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.reading import type_of_value
from gateway.detect.bank import Arrival, Bank, Counts
from gateway.detect.config import DetectConfig, Limits, Rules, Spike
from gateway.detect.heard import Heard
from gateway.wire import Anomaly, Reading, decode_anomaly, encode_anomaly

BOTH = Rules(limits=Limits(low=5.0, high=80.0), spike=Spike(warm_up=10))
CONFIG = DetectConfig(rules=(BOTH, OFF))
LIMIT_ONLY = DetectConfig(rules=(OFF, BOTH))


def counted(readings: list[Reading], config: DetectConfig = LIMIT_ONLY) -> tuple[Counts, list[Anomaly]]:
    bank = Bank(config)
    said = [one.anomaly for one in bank.judge(keyed(readings))]
    return bank.counts, said


@pytest.mark.parametrize("value", [True, False, "error", "82", float("nan"), float("inf"), 10**400])
def test_what_is_no_number_is_counted_and_touches_nothing(value: type_of_value) -> None:
    counts, said = counted(series([20.0, value, 21.0]))

    assert said == []
    assert (counts.judged, counts.not_numeric) == (2, 1)


def test_what_the_broker_retained_is_counted_and_touches_nothing() -> None:
    counts, said = counted([reading(99.0, flags=("retained",))])

    assert said == []
    assert counts == Counts(retained=1)


def test_what_was_made_of_dead_letters_is_counted_and_touches_nothing_however_much_it_is() -> None:
    now = series([20.0, 21.0])
    past = [reading(99.0, n - 30.0, seq=n, spool="spool-1-7", flags=("recovered",)) for n in range(1, 31)]

    counts, said = counted([*past, *now, *past])

    assert said == []
    assert counts == Counts(judged=2, recovered=60)


def test_a_reading_read_again_is_counted_and_touches_nothing() -> None:
    readings = series([20.0, 99.0, 20.0])

    counts, said = counted([*readings, *readings])

    assert [one.event for one in said] == ["raised", "cleared"]
    assert (counts.judged, counts.repeated) == (3, 3)


def test_the_same_time_under_a_new_number_is_a_repeat() -> None:
    counts, _ = counted([reading(20.0, 1.0, seq=1), reading(20.0, 1.0, seq=2)])

    assert (counts.judged, counts.repeated) == (1, 1)


def test_a_late_reading_is_counted_and_touches_nothing() -> None:
    counts, said = counted(
        [reading(20.0, 10.0, seq=1), reading(99.0, 5.0, seq=2), reading(20.0, 11.0, seq=3)]
    )

    assert said == []
    assert (counts.judged, counts.late) == (2, 1)


def test_a_clock_set_back_does_not_silence_a_sensor_for_good() -> None:
    ahead = [reading(20.0, 1e9, seq=1)]
    after = [reading(99.0, at, seq=at + 2) for at in range(20)]

    counts, said = counted([*ahead, *after])

    assert [one.event for one in said] == ["raised"]
    assert (counts.judged, counts.late) == (12, 9)


def test_stragglers_between_the_others_never_look_like_a_clock_set_back() -> None:
    readings = [
        one
        for place in range(50)
        for one in (
            reading(20.0, 1000.0 + place, seq=2 * place + 1),
            reading(99.0, float(place), seq=2 * place + 2),
        )
    ]

    counts, said = counted(readings)

    assert said == []
    assert (counts.judged, counts.late) == (50, 50)


def test_late_readings_with_good_ones_between_them_are_no_clock_set_back_wherever_a_poll_ends() -> None:
    bank, seq = Bank(LIMIT_ONLY), 0
    for place in range(30):
        for at in (1000.0 + place, float(place)):
            seq += 1
            assert bank.judge(keyed([reading(20.0, at, seq=seq)], offset=seq)) == []

    assert (bank.counts.judged, bank.counts.late) == (30, 30)


def test_a_number_below_the_last_one_counts_if_the_spool_is_another() -> None:
    counts, _ = counted([reading(20.0, 1.0, seq=900), reading(20.0, 2.0, seq=1, spool="spool-2")])

    assert counts.judged == 2


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
def test_names_that_no_gateway_sends_are_counted(name: str) -> None:
    counts, said = counted([reading(99.0, device=name)])

    assert said == []
    assert counts == Counts(unnamed=1)


def test_many_spools_are_forgotten_and_those_that_sensors_are_at_are_not() -> None:
    bank = Bank(LIMIT_ONLY)
    bank.judge(keyed([reading(20.0, 0.0, seq=5, spool="mine")]))
    for place in range(1, 1200):
        one = reading(20.0, float(place), spool=f"spool-{place}", device="boiler-8")
        bank.judge(keyed([one], offset=place))
    assert len(bank._rows.spools) < 1100

    bank.judge(keyed([reading(20.0, 1.0, seq=5, spool="mine")], offset=1200))

    assert bank.counts.repeated == 1


def test_sensors_of_two_devices_do_not_meet() -> None:
    readings = [reading(99.0, 1.0, seq=1), reading(20.0, 1.0, seq=2, device="boiler-8")]

    _, said = counted(readings)

    assert [(one.event, one.device) for one in said] == [("raised", "boiler-7")]


def test_an_anomaly_has_the_key_of_its_reading() -> None:
    ((offset, key, anomaly),) = Bank(LIMIT_ONLY).judge([Arrival(17, KEY, reading(99.0))])

    assert (offset, key) == (17, KEY)
    assert decode_anomaly(encode_anomaly(anomaly)) == anomaly


def test_without_room_the_sensor_unheard_of_for_longest_is_forgotten_and_its_anomaly_cleared() -> None:
    config = DetectConfig(rules=LIMIT_ONLY.rules, max_sensors=2)
    bank = Bank(config)
    readings = [reading(99.0, at, seq=at + 1, device=f"d{at}") for at in range(2)]
    readings += [reading(99.5, 2, seq=3, device="d0"), reading(20.0, 3, seq=4, device="d2")]

    said = [one.anomaly for one in bank.judge(keyed(readings))]

    assert [(one.event, one.device) for one in said] == [
        ("raised", "d0"),
        ("raised", "d1"),
        ("cleared", "d1"),
    ]
    assert said[1].id == said[2].id
    assert said[2].sentence == (
        "no longer watched, 0 s after it was raised: more than 2 sensors report, "
        "and this one has been silent for longest"
    )
    assert (bank.sensors, bank.open, bank.counts.forgotten) == (2, 1, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=120), st.lists(st.integers(0, 120), max_size=5))
def test_who_is_forgotten_is_who_was_unheard_of_for_longest_wherever_a_poll_ends(
    names: list[int], cuts: list[int]
) -> None:
    config = DetectConfig(rules=LIMIT_ONLY.rules, max_sensors=3)
    arrivals = keyed(
        [reading(99.0, place, seq=place + 1, device=f"d{name}") for place, name in enumerate(names)]
    )
    expected, known = [], list[int]()
    for name in names:
        if name in known:
            known.remove(name)
        else:
            if len(known) == 3:
                expected.append(("cleared", f"d{known.pop(0)}"))
            expected.append(("raised", f"d{name}"))
        known.append(name)

    bank = Bank(config)
    said = [
        one.anomaly
        for start, end in pairwise([0, *sorted(cuts), len(arrivals)])
        for one in bank.judge(arrivals[start:end])
    ]

    assert [(one.event, one.device) for one in said if one.rule == "limits"] == expected


def test_a_flood_of_new_names_looks_through_all_sensors_once_and_not_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank, looks = Bank(DetectConfig(rules=LIMIT_ONLY.rules, max_sensors=1000)), 0
    bank.judge(keyed([reading(20.0, 0.0, device=f"a{number}") for number in range(1000)]))
    argsort = np.argsort

    def counting(array: np.ndarray[Any, Any], **how: Any) -> np.ndarray[Any, Any]:
        nonlocal looks
        looks += len(array) == 1000
        return argsort(array, **how)

    monkeypatch.setattr(np, "argsort", counting)
    monkeypatch.delattr(Heard, "rows")
    bank.judge(keyed([reading(20.0, 1.0, device=f"b{number}") for number in range(900)], offset=1000))

    assert (bank.counts.forgotten, looks) == (900, 1)


values = st.lists(
    st.one_of(
        st.floats(0, 100), st.floats(20, 22), st.sampled_from([21.0, 99.0, 4.0, True, "off", 850.0, 1e300])
    ),
    max_size=150,
)


@settings(max_examples=60)
@given(values, st.data())
def test_what_was_said_never_depends_on_what_comes_later_nor_on_batches(
    values: list[type_of_value], data: st.DataObject
) -> None:
    readings = keyed(series([*noise(10), *values]))
    cut = data.draw(st.integers(0, len(readings)))
    whole = Bank(CONFIG).judge(readings)
    bank = Bank(CONFIG)

    before = bank.judge(readings[:cut])
    assert before == whole[: len(before)]
    assert before + bank.judge(readings[cut:]) == whole


@settings(max_examples=60)
@given(values)
def test_each_anomaly_is_raised_once_and_first_and_cleared_at_most_once_and_last(
    values: list[type_of_value],
) -> None:
    events: dict[str, list[str]] = {}
    for one in said_of(series([*noise(10), *values]), CONFIG):
        events.setdefault(one.id, []).append(one.event)

    for story in events.values():
        assert story[0] == "raised"
        assert set(story[1:-1]) <= {"updated"}
        assert story.count("raised") == 1


@settings(max_examples=60)
@given(values)
def test_every_reading_is_counted_once(values: list[type_of_value]) -> None:
    counts, said = counted(series(values), CONFIG)

    lost = (
        counts.not_numeric
        + counts.retained
        + counts.recovered
        + counts.repeated
        + counts.late
        + counts.unnamed
    )
    assert counts.judged + lost == len(values)
    assert counts.raised + counts.updated + counts.cleared == len(said)
