"""Every number in a sentence of rate, never-seen and silence is recomputed here from the readings alone."""

import re

import pytest
from detecting import NOON, SECOND, keyed, noise, only, reading, said_of, series
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.detect.bank import Bank
from gateway.detect.config import Limits, Spike
from gateway.detect.text import duration
from gateway.wire import Anomaly, Reading

SLOW = 100.0
"""Seconds between two readings: 1000 of them are more than a day."""

BEFORE = [round(4 * value) / 4 for value in noise(1200)]
"""In quarters, with which floats count as people do."""

NUMBER = r"(-?[\d.]+(?:e[-+]\d+)?)"
TIME = r"([\d.]+ (?:s|min|h|days))"

few = settings(max_examples=25, deadline=None)
odd = st.lists(
    st.tuples(
        st.sampled_from([21.0, 21.25, 25.0, 29.0, 35.0, 60.0, 140.0, 15.0, 5.0, -40.0]),
        st.sampled_from([SLOW, SLOW, 10.0, 98.0, 330.0]),
    ),
    max_size=20,
)
calm = [(21.0, SLOW)] * 4


def story(values: list[tuple[float, float]]) -> list[Reading]:
    """Readings of more than a day as usual, and then of these values, so many seconds apart."""
    readings = series(BEFORE, SLOW)
    at = SLOW * (len(BEFORE) - 1)
    for value, pause in values:
        at += pause
        readings.append(reading(value, at, seq=len(readings) + 1))
    return readings


def fields(said: Anomaly, pattern: str) -> list[str]:
    """What stands in a sentence in place of `#`, a number, and of `~`, a time; the units are left out."""
    text = said.sentence.replace(" °C", "")
    found = re.fullmatch(re.escape(pattern).replace(r"\#", NUMBER).replace(r"\~", TIME), text)
    assert found is not None, text
    return list(found.groups())


def seconds(readings: list[Reading], first: int, last: int) -> str:
    return duration(readings[last].time - readings[first].time)


@few
@given(odd)
def test_every_sentence_of_rate_is_true(values: list[tuple[float, float]]) -> None:
    readings = story([*values, *calm])
    numbers = [float(one.value) for one in readings]
    times = [(one.time - NOON) / SECOND for one in readings]
    usual = [time / max(place, 1) for place, time in enumerate(times)]
    rates = [0.0]
    for place in range(1, len(readings)):
        pause = max(times[place] - times[place - 1], usual[place])
        rates.append(abs(numbers[place] - numbers[place - 1]) / pause)
    raised = before = 0
    for said in said_of(readings, only(rate=True)):
        at = said.seq - 1
        raised = at if said.event == "raised" else raised
        fastest = max(rates[:raised])
        limit = (1.5 + 0.5 * 86_400 / times[at]) * fastest
        assert said.score == pytest.approx(rates[at])
        assert said.since == readings[raised].time
        if said.event == "cleared":
            last, most, lasted, peak = fields(
                said, "back at # per s, 3 changes in a row of at most # per s, after ~; fastest # per s"
            )
            assert max(rates[at - 2 : at + 1]) <= limit * (1 + 1e-9)
            assert float(last) == pytest.approx(rates[at], rel=1e-3)
            assert float(most) == pytest.approx(limit, rel=1e-3)
            assert float(peak) == pytest.approx(max(rates[raised:at]), rel=1e-3)
            assert lasted == seconds(readings, raised, at)
            continue
        way = "rose" if numbers[at] > numbers[at - 1] else "fell"
        took, mean = seconds(readings, at - 1, at), duration(round(usual[at] * SECOND))
        over = f" over the usual {mean}" if times[at] - times[at - 1] < usual[at] and took != mean else ""
        more = "" if said.event == "raised" else "; # per s when last said"
        change, rate, count, record, *last_said = fields(
            said, f"{way} by # in {took}, # per s{over}; fastest in # readings before: # per s{more}"
        )
        assert float(change) == pytest.approx(abs(numbers[at] - numbers[at - 1]))
        assert float(rate) == pytest.approx(rates[at], rel=1e-3)
        assert int(count) == at
        assert float(record) == pytest.approx(fastest, rel=1e-3)
        assert rates[at] > limit if said.event == "raised" else rates[at] >= 2 * rates[before] * (1 - 1e-9)
        assert [float(one) for one in last_said] == [pytest.approx(rates[before], rel=1e-3)] * len(last_said)
        before = at


def in_words(part: float) -> str:
    return "# %" if part < 9.995 else "# times"


def in_percent(part: float) -> float:
    return 100 * part if part < 9.995 else part


@few
@given(odd)
def test_every_sentence_of_never_seen_is_true(values: list[tuple[float, float]]) -> None:
    readings = story([*values, *calm])
    numbers = [float(one.value) for one in readings]
    raised, told = 0, 0.0
    for said in said_of(readings, only(never_seen=True)):
        at, value = said.seq - 1, numbers[said.seq - 1]
        raised = at if said.event == "raised" else raised
        low, high = min(numbers[:raised]), max(numbers[:raised])
        away = max(value - high, low - value, 0.0)
        assert (said.low, said.high, said.score) == (low, high, away / (high - low))
        assert said.since == readings[raised].time
        if said.event == "cleared":
            seen = "# to #" if len({*numbers[raised:at]}) > 1 else "#"
            back, bottom, top, lasted, *meanwhile = fields(
                said, f"back at # within the range # to # after ~; meanwhile {seen}"
            )
            assert low <= float(back) == value <= high
            assert (float(bottom), float(top)) == (low, high)
            assert (float(meanwhile[0]), float(meanwhile[-1])) == (
                min(numbers[raised:at]),
                max(numbers[raised:at]),
            )
            assert lasted == seconds(readings, raised, at)
            continue
        way = "above" if value > high else "below"
        width = high - low
        more = "" if said.event == "raised" else f"; {in_words(told / width)} when last said"
        own = in_words(away / width) + (" of it" if away / width < 9.995 else " its width")
        shown, bottom, top, count, part, *last_said = fields(
            said, f"# is {way} the range # to # of # readings before, by {own}{more}"
        )
        assert (float(shown), float(bottom), float(top), int(count)) == (value, low, high, raised)
        assert float(part) == pytest.approx(in_percent(away / width), rel=5e-3)
        days = (readings[at].time - NOON) / SECOND / 86_400
        assert away > (0.05 + 0.5 / days) * (high - low) if said.event == "raised" else away >= 2 * told
        assert [float(one) for one in last_said] == [pytest.approx(in_percent(told / width), rel=5e-3)] * len(
            last_said
        )
        told = away


@few
@given(st.integers(1, 600), st.integers(1, 3), st.integers(1, 90), st.integers(1, 3600))
def test_every_sentence_of_silence_is_true_and_each_doubling_is_told(
    interval: int, pace: int, count: int, rest: int
) -> None:
    """The gateway shows that it lives three, two or one times in an interval of its sensor."""
    readings = series([20.0] * 40, 3.0 * interval)
    bank, last = Bank(only(silence=True)), readings[-1].received
    bank.judge(keyed(readings))
    bound, until, told = max(60, 15 * interval) * SECOND, last, 0
    usual = duration(3 * interval * SECOND)

    def true(said: list[Anomaly], silent: int) -> int:
        """Each doubling is told as of its moment; returns the last one."""
        due = [bound << doubled for doubled in range(40) if told < bound << doubled < silent]
        assert len(said) == len(due)
        for one, lasted in zip(said, due, strict=True):
            more = f"; {duration(lasted // 2)} when last said" if lasted > bound else ""
            assert one.sentence == f"silent for {duration(lasted)}, usually a reading every {usual}{more}"
            assert (one.event, one.score) == ("updated" if lasted > bound else "raised", lasted / SECOND)
            assert (one.time, one.seq, one.first_seq, one.value) == (last + lasted, 40, 40, 20.0)
        return due[-1] if due else told

    for _ in range(count):
        until += pace * interval * SECOND
        silent = until - last
        said = [one.anomaly for one in bank.advance("gw-1", until)]
        if told or said:
            told = true(said, silent)
    assert told or silent < bound + (600 + 20 * pace * interval) * SECOND
    back = (until - NOON) / SECOND + rest
    silent = NOON + round(back * SECOND) - last
    said = [one.anomaly for one in bank.judge(keyed([reading(21.0, back, seq=41)], offset=40))]
    true(said[:-1], silent)
    assert [one.event for one in said][-1:] == ["cleared"] * bool(told or silent > bound)
    if said:
        assert said[-1].sentence == f"back at 21 °C after {duration(silent)} of silence"


def test_a_value_below_the_range_is_shown_below_it_however_large_it_is() -> None:
    values = [1e11 - 100 + 10 * value for value in BEFORE]  # from 97, and with ten digits 60 would be 100
    assert 90 < min(values) - 1e11 < 100 < max(values) - 1e11

    (raised,) = said_of(series([*values, 1e11 + 60], SLOW), only(never_seen=True))

    value, bottom, *_ = fields(raised, "# is below the range # to # of # readings before, by # % of it")
    assert float(value) < float(bottom)


@pytest.mark.parametrize(("odd", "beyond"), [((27.0, 30.75, 31.0), 4.0), ((15.0, 11.25, 11.0), 4.0)])
def test_twice_as_far_out_of_the_range_is_an_update_and_less_is_none(
    odd: tuple[float, float, float], beyond: float
) -> None:
    values = [19.0 + 0.5 * (place * 5 % 9) for place in range(1200)]  # 19 to 23

    raised, updated, cleared = said_of(series([*values, *odd, 21.0], SLOW), only(never_seen=True))

    assert [(one.event, one.value) for one in (raised, updated, cleared)] == [
        ("raised", odd[0]),
        ("updated", odd[2]),
        ("cleared", 21.0),
    ]
    assert (raised.score, updated.score) == (beyond / 4, 2 * beyond / 4)


def test_how_long_it_took_is_not_told_by_a_clock_that_was_set_back() -> None:
    """Ten late readings, each later than the one before, are a clock that was set back, and are judged from then on."""
    config = only(limits=Limits(high=80.0), spike=Spike(warm_up=10))
    ahead = series([*noise(70), 99.0])
    after = [reading(99.0, float(place - 9000), seq=100 + place) for place in range(30)]

    said = said_of([*ahead, *after, reading(20.0, -8000.0, seq=200)], config)

    accepted, back = (one.sentence for one in said if one.event == "cleared")
    assert accepted.startswith("accepted as new level: 99.00000 ± 0.00013 °C in the 10 last readings; was ")
    assert back == "back at 20 °C below 79.2 °C after an unknown time (the clock was set back); highest 99 °C"
