"""Silence: of one sensor, of all of a gateway, and storms."""

from itertools import accumulate, pairwise

import msgspec
import pytest
from detecting import NOON, OFF, SECOND, keyed, only, reading, said_of, series
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.detect.bank import Bank
from gateway.detect.config import DetectConfig, Limits, Rules, Silence
from gateway.wire import Anomaly, Command, Reading

ALONE = only(silence=True)


def at(seconds: float) -> int:
    return NOON + round(seconds * SECOND)


def together(count: int, ticks: list[float]) -> list[Reading]:
    """Readings of so many sensors at each of these times."""
    return [
        reading(20.0 + tick % 7, tick, seq=place * count + which + 1, device=f"d{which}")
        for place, tick in enumerate(ticks)
        for which in range(count)
    ]


def test_a_gap_that_shows_with_the_next_reading_is_told_as_of_when_it_was_remarkable() -> None:
    readings = [*series([20.0] * 40, 30.0), reading(21.0, 2000.0, seq=41)]
    raised, longer, longest, cleared = said_of(readings, ALONE)

    assert raised.sentence == "silent for 2 min, usually a reading every 30 s"
    assert longest.sentence == "silent for 10 min, usually a reading every 30 s; 5 min when last said"
    assert cleared.sentence == "back at 21 °C after 14 min of silence"
    assert (raised.rule, raised.grade, raised.score) == ("silence", "alarm", 150.0)
    assert (raised.since, raised.first_seq, raised.time) == (at(1170), 40, at(1320))
    assert (raised.seq, raised.value, longer.seq, cleared.seq) == (40, 20.0, 40, 41)
    assert (longer.time, longest.time, cleared.time) == (at(1470), at(1770), at(2000))
    assert len({one.id for one in (raised, longer, longest, cleared)}) == 1


RUN = st.tuples(st.integers(1, 20), st.sampled_from([10.0, 70.0, 200.0, 700.0, 5000.0]))
SENSORS = st.lists(st.lists(RUN, min_size=1, max_size=3), min_size=1, max_size=4)
"""Of each sensor how many readings ten seconds apart, and then how long none; no more gaps than are remembered."""
OUTAGES = st.lists(st.tuples(st.integers(0, 9000), st.integers(60, 4000)), max_size=3)


@settings(max_examples=50, deadline=None)
@given(SENSORS, OUTAGES, st.lists(st.integers(0, 300), max_size=12), st.sampled_from([60.0, 100.0, 450.0]))
def test_what_is_said_of_silences_never_depends_on_where_a_poll_ends(
    sensors: list[list[tuple[int, float]]], outages: list[tuple[int, int]], cuts: list[int], after: float
) -> None:
    """After each poll it is told that its gateway lives, as the service and a backtest do."""
    made = [
        (tick, f"d{which}")
        for which, runs in enumerate(sensors)
        for tick in accumulate(step for count, pause in runs for step in [*[10.0] * count, pause])
        if not any(begin <= tick <= begin + length for begin, length in outages)
    ]
    readings = [reading(20.0, tick, seq=n + 1, device=name) for n, (tick, name) in enumerate(sorted(made))]
    arrivals, told = keyed(readings), list[list[tuple[object, ...]]]()
    for places in ([], cuts, range(len(arrivals))):
        bank, said = Bank(only(silence=Silence(after))), list[Anomaly]()
        for start, end in pairwise([0, *sorted(min(one, len(arrivals)) for one in places), len(arrivals)]):
            said += [one.anomaly for one in bank.judge(arrivals[start:end])]
            if end:
                said += [one.anomaly for one in bank.advance("gw-1", arrivals[end - 1].reading.received)]
        told.append(sorted(msgspec.structs.astuple(one) for one in said))

    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize(("gap", "events"), [(149.0, []), (151.0, ["raised", "cleared"])])
def test_five_usual_intervals_are_the_bound(gap: float, events: list[str]) -> None:
    said = said_of([*series([20.0] * 40, 30.0), reading(21.0, 1170.0 + gap, seq=41)], ALONE)

    assert [one.event for one in said] == events


def test_a_minute_of_silence_is_nothing_however_fast_the_sensor() -> None:
    assert said_of([*series([20.0] * 400, 0.1), reading(21.0, 99.0, seq=401)], ALONE) == []


def test_a_sensor_that_reports_at_odd_times_may_be_silent_for_longer() -> None:
    ticks = [0.0]
    for place in range(300):
        ticks.append(ticks[-1] + (400.0 if place % 20 == 0 else 10.0))
    readings = [reading(20.0, tick, seq=place + 1) for place, tick in enumerate(ticks)]

    assert said_of([*readings, reading(20.0, ticks[-1] + 1100, seq=900)], ALONE) == []
    said = said_of([*readings, reading(20.0, ticks[-1] + 1300, seq=900)], ALONE)
    assert [one.event for one in said] == ["raised", "cleared"]


def test_what_comes_in_one_payload_makes_no_intervals() -> None:
    packed = [
        Reading(1, "gw-1", "s", seq, "l", "d", "t", at(seq), at(seq // 200 * 200), 20.0)
        for seq in range(1, 10_000)
    ]

    assert said_of(packed, ALONE) == []


def test_a_living_gateway_shows_who_is_silent_once_and_when_it_gets_worse() -> None:
    bank = Bank(ALONE)
    bank.judge(keyed(series([20.0] * 40, 30.0)))
    said: list[Anomaly] = []
    for seconds in range(1170, 2000, 10):
        said += [one.anomaly for one in bank.advance("gw-1", at(seconds))]

    assert [one.event for one in said] == ["raised", "updated", "updated"]
    assert said[0].sentence == "silent for 2 min, usually a reading every 30 s"
    assert [one.time for one in said] == [at(1320), at(1470), at(1770)]
    assert said[1].sentence.endswith("when last said")
    ((_, _, cleared),) = bank.judge(keyed([reading(21.0, 2000.0, seq=41)], offset=40))
    assert cleared.sentence == "back at 21 °C after 14 min of silence"
    assert cleared.id == said[0].id
    assert len(bank.changed()) == 2, "its row and its gateway"


def test_the_id_of_a_silence_is_the_same_whoever_sees_it_first() -> None:
    readings = series([20.0] * 40, 30.0)
    bank = Bank(ALONE)
    bank.judge(keyed(readings))
    for seconds in range(1170, 1400, 10):
        if said := bank.advance("gw-1", at(seconds)):
            break

    other = said_of([*readings, reading(21.0, 2000.0, seq=41)], ALONE)

    assert said[0].anomaly.id == other[0].id


def test_the_silence_of_all_sensors_of_a_gateway_is_not_that_of_each() -> None:
    ticks = [30.0 * place for place in range(40)]
    readings = together(5, [*ticks, 5000.0, 5030.0])

    assert said_of(readings, ALONE) == []


def test_a_sensor_silent_for_longer_than_its_gateway_is_told_of() -> None:
    ticks = [30.0 * place for place in range(40)]
    back = [5000.0 + 30.0 * place for place in range(20)]
    readings = together(5, [*ticks, *back])
    missing = [one for one in readings if one.device != "d3" or one.time <= at(1170)]

    said = said_of([*missing, reading(20.0, 5600.0, seq=9000, device="d3")], ALONE)

    assert [(one.event, one.device) for one in said] == [("raised", "d3"), ("cleared", "d3")]


def test_a_gateway_that_has_just_come_back_proves_nobody_silent() -> None:
    bank = Bank(ALONE)
    bank.judge(keyed(series([20.0] * 40, 30.0)))
    for seconds in range(1000, 1180, 10):
        bank.advance("gw-1", at(seconds))

    assert bank.advance("gw-1", at(5000)) == []
    assert bank.advance("gw-1", at(5010)) == []


def test_a_sensor_is_found_silent_whatever_the_rhythm_of_its_gateway_was_for_a_moment() -> None:
    for odd in ([1200.1, 1200.2], [900.0, 1210.0]):  # a burst; one that is out of order
        bank = Bank(ALONE)
        bank.judge(keyed(series([20.0] * 40, 30.0)))
        said: list[tuple[str, int]] = []
        for seconds in [*range(1100, 1201, 10), *odd, *range(1211, 1400, 10)]:
            said += [(one.anomaly.event, one.anomaly.time) for one in bank.advance("gw-1", at(seconds))]
        assert said == [("raised", at(1320))], odd


def test_what_a_gateway_said_hours_ago_puts_no_silence_off() -> None:
    raised: list[list[int]] = []
    for old in (False, True):
        bank = Bank(ALONE)
        bank.judge(keyed(series([20.0] * 40, 30.0)))
        said = []
        for seconds in range(1100, 1400, 10):
            said += bank.advance("gw-1", at(seconds))
            if old:
                assert bank.advance("gw-1", at(seconds - 7200), told=True) == []
        raised.append([one.anomaly.time for one in said])

    assert raised[0] == raised[1] != []


def test_a_gap_of_the_gateway_half_as_long_as_a_silence_would_have_to_be_counts_for_no_sensor() -> None:
    bank, readings = Bank(ALONE), together(4, [30.0 * place for place in range(40)])
    bank.judge(keyed(readings))
    said: list[tuple[str, str, int]] = []
    for place, seconds in enumerate(range(1000, 1500, 10)):
        if seconds >= 1270 and seconds % 30 == 10:  # the others are back after 100 s
            some = [reading(20.0, seconds, seq=9000 + 3 * place + n, device=f"d{n}") for n in range(3)]
            bank.judge(keyed(some, offset=9000 + 3 * place))
        found = [one.anomaly for one in bank.advance("gw-1", at(seconds), told=True)]
        said += [(one.event, one.device, one.time) for one in found]

    assert said == [("raised", "d3", at(1420))], "150 s and the gap after 1170"


def test_for_as_long_as_somebody_allows_a_sensor_may_be_silent() -> None:
    said = said_of(series([20.0, 21.0], 400.0), only(silence=Silence(300.0)))

    assert said[0].sentence == "silent for 5 min; 5 min are allowed"


HOT = DetectConfig(rules=(OFF, Rules(limits=Limits(high=80.0))))


def test_many_sensors_at_once_are_a_storm() -> None:
    readings = [reading(99.0, float(place), seq=place + 1, device=f"d{place}") for place in range(25)]
    readings += [reading(20.0, 200.0 + place, seq=100 + place, device=f"d{place}") for place in range(25)]

    said = said_of(readings, HOT)

    storm = [one for one in said if one.rule == "storm"]
    assert [(one.event, one.value) for one in storm] == [("raised", 10), ("updated", 20), ("cleared", 25)]
    assert storm[0].sentence == (
        "10 sensors of gateway gw-1 raised 10 anomalies within 9.0 s; more of them are in this storm"
    )
    assert storm[2].sentence == (
        "25 sensors of gateway gw-1 raised 25 anomalies within 24 s; no more since 3 min"
    )
    raised = [one for one in said if one.rule == "limits" and one.event == "raised"]
    assert [bool(one.storm) for one in raised] == [False] * 9 + [True] * 16
    assert {one.storm for one in raised[9:]} == {storm[0].id}


def test_all_records_of_a_storm_have_the_key_of_what_began_it() -> None:
    """So that they are in one partition, in order."""
    readings = [reading(99.0, float(place), seq=place + 1, device=f"d{place}") for place in range(25)]
    bank = Bank(HOT)
    said = [*bank.judge(keyed(readings)), *bank.advance("gw-1", at(500))]

    storm = [(one.anomaly.event, one.key) for one in said if one.anomaly.rule == "storm"]
    assert storm == [(event, b"gw-1/d9") for event in ("raised", "updated", "cleared")]


def test_the_end_of_a_storm_is_said_once_though_a_crash_follows() -> None:
    readings = [reading(99.0, float(place), seq=place + 1, device=f"d{place}") for place in range(25)]
    bank = Bank(HOT)
    bank.judge(keyed(readings))
    state = dict(bank.changed()) | dict(bank.snapshot(100))

    [over] = bank.advance("gw-1", at(500))
    state |= dict(bank.changed())  # what is written together with it

    successor = Bank(HOT)
    for key, value in state.items():
        successor.restore(key, value)
    assert (over.anomaly.rule, over.anomaly.event) == ("storm", "cleared")
    assert successor.advance("gw-1", at(600)) == []


def test_the_clock_of_who_acknowledges_ends_no_storm() -> None:
    readings = [reading(99.0, float(place), seq=place + 1, device=f"d{place}") for place in range(12)]
    bank = Bank(HOT)
    said = bank.judge(keyed(readings[:11]))

    [answer] = bank.command(Command(1, said[0].anomaly.id, "ack", "anna", 2 * NOON))

    [last] = bank.judge(keyed(readings[11:], offset=11))
    assert answer.anomaly.event == "acknowledged"
    assert last.anomaly.storm == said[-1].anomaly.storm


def test_a_clock_that_is_set_back_ends_a_storm_and_makes_none() -> None:
    ahead = [reading(99.0, 1e6 + place, seq=place + 1, device=f"d{place}") for place in range(10)]
    after = [reading(99.0, float(place), seq=100 + place, device=f"e{place}") for place in range(9)]

    storm = [one for one in said_of([*ahead, *after], HOT) if one.rule == "storm"]
    assert [one.event for one in storm] == ["raised", "cleared"]
    assert storm[1].sentence == (
        "10 sensors of gateway gw-1 raised 10 anomalies within 9.0 s; the clock was set back since"
    )
    assert [one.rule for one in said_of([*ahead[:9], *after], HOT)] == ["limits"] * 18


def test_what_a_gateway_said_earlier_ends_no_storm() -> None:
    bank = Bank(HOT)
    bank.judge(keyed([reading(99.0, 1e6 + place, seq=place + 1, device=f"d{place}") for place in range(10)]))

    assert bank.advance("gw-1", at(0.0), told=True) == []
    assert [one.anomaly.event for one in bank.advance("gw-1", at(1e6 + 100))] == ["cleared"]


def test_few_or_slow_anomalies_are_no_storm() -> None:
    few = [reading(99.0, float(place), seq=place + 1, device=f"d{place}") for place in range(9)]
    slow = [reading(99.0, 10.0 * place, seq=place + 1, device=f"d{place}") for place in range(40)]

    assert {one.rule for one in said_of(few, HOT) + said_of(slow, HOT)} == {"limits"}
