import re

import pytest
from detecting import NOON, OFF, SECOND, reading, said_of, sentences, series
from hypothesis import given
from hypothesis import strategies as st

from gateway.detect.config import DetectConfig, Limits, Rules
from gateway.wire import Reading


def config(
    low: float | None = None, high: float | None = None, hysteresis: float | None = None
) -> DetectConfig:
    return DetectConfig(rules=(OFF, Rules("temperature", limits=Limits(low, high, hysteresis))))


def test_the_first_reading_ever_can_raise() -> None:
    (raised,) = said_of([reading(82.1)], config(high=80.0))

    assert (raised.event, raised.rule, raised.grade) == ("raised", "limits", "alarm")
    assert raised.sentence == "82.1 °C is above the high limit 80 °C"
    assert (raised.value, raised.low, raised.high, raised.unit) == (82.1, None, 80.0, "°C")
    assert raised.score == pytest.approx(2.1)
    assert raised.since == raised.time == NOON


def test_an_anomaly_is_raised_once_and_cleared_once_behind_the_hysteresis() -> None:
    values = [79.0, 82.1, 83.0, 79.9, 79.3, 78.9, 79.5]

    raised, cleared = said_of(series(values, interval=7.0), config(high=80.0))

    assert sentences([raised, cleared]) == [
        ("raised", "82.1 °C is above the high limit 80 °C"),
        ("cleared", "back at 78.9 °C below 79.2 °C after 28 s; highest 83 °C"),
    ]
    assert raised.id == cleared.id
    assert raised.since == cleared.since == NOON + 7 * SECOND
    assert cleared.time == NOON + 35 * SECOND
    assert cleared.score == 0


def test_the_low_limit_is_the_mirror_of_the_high_one() -> None:
    raised, cleared = said_of(series([4.5, 4.0, 5.1, 5.9]), config(low=5.0, high=80.0))

    assert sentences([raised, cleared]) == [
        ("raised", "4.5 °C is below the low limit 5 °C"),
        ("cleared", "back at 5.9 °C above 5.75 °C after 3.0 s; lowest 4 °C"),
    ]


def test_a_value_equal_to_the_limit_is_inside() -> None:
    assert said_of(series([80.0, 5.0]), config(low=5.0, high=80.0)) == []


def test_from_above_to_below_clears_one_anomaly_and_raises_another() -> None:
    said = said_of(series([90.0, 1.0]), config(low=5.0, high=80.0))

    assert [one.event for one in said] == ["raised", "cleared", "raised"]
    assert said[0].id == said[1].id != said[2].id


def test_it_is_updated_only_when_it_got_twice_as_bad() -> None:
    raised, first, second = said_of(series([82.0, 83.9, 84.0, 87.0, 88.0]), config(high=80.0))

    assert first.sentence == "84 °C is above the high limit 80 °C; 82 °C when last said"
    assert second.sentence == "88 °C is above the high limit 80 °C; 84 °C when last said"
    assert {first.event, second.event} == {"updated"}
    assert raised.id == first.id == second.id


def test_a_state_with_limit_zero_is_cleared_at_zero() -> None:
    raised, cleared = said_of(series([0, 500, 0]), config(high=0.0))

    assert raised.sentence == "500 °C is above the high limit 0 °C"
    assert cleared.sentence == "back at 0 °C after 1.0 s; highest 500 °C"


def test_a_limit_that_matches_no_sensor_judges_nothing() -> None:
    other = DetectConfig(rules=(OFF, Rules("humidity", limits=Limits(high=1.0))))

    assert said_of(series([99.0]), other) == []


def test_flags_and_identity_of_the_reading_go_with_the_anomaly() -> None:
    one = reading(99.0, seq=17, flags=("simulated",))
    (raised,) = said_of([one], config(high=80.0))

    assert (raised.spool, raised.seq, raised.flags) == (one.spool, 17, ("simulated",))


values = st.lists(
    st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False)), max_size=60
)


@given(values, st.floats(-50, 0), st.floats(0, 50), st.floats(0, 1))
def test_every_sentence_is_true(values: list[float], low: float, high: float, share: float) -> None:
    """Recomputed from the readings alone: each number stands in its sentence and says what the sentence says."""
    hysteresis = share * (high - low)
    readings = series(values)
    judged: dict[int, Reading] = {one.seq: one for one in readings}

    for said in said_of(readings, config(low, high, hysteresis)):
        value = float(judged[said.seq].value)
        side = "high" if float(judged[first_seq(said.since)].value) > high else "low"
        limit, mark = (high, high - hysteresis) if side == "high" else (low, low + hysteresis)
        text = said.sentence
        if said.event == "cleared":
            found = re.fullmatch(
                r"back at (\S+) °C(?: (below|above) (\S+) °C)? after .*; (?:highest|lowest) (\S+) °C", text
            )
            assert found is not None, text
            since = [float(one.value) for one in readings if said.since <= one.time <= said.time]
            worst = max(since) if side == "high" else min(since)
            assert float(found[4]) == pytest.approx(worst, rel=1e-9)
            if found[2] is None:
                assert value == mark
            else:
                assert found[2] == ("below" if side == "high" else "above")
                assert (float(found[1]) < float(found[3])) == (side == "high")
                assert float(found[3]) == pytest.approx(mark, rel=1e-9)
        else:
            found = re.match(r"(\S+) °C is (above|below) the (high|low) limit (\S+) °C", text)
            assert found is not None, text
            assert found[3] == side
            assert (float(found[1]) > float(found[4])) == (side == "high")
            assert float(found[4]) == pytest.approx(limit, rel=1e-9)
            assert said.score == abs(value - limit)
        assert float(found[1]) == pytest.approx(value, rel=1e-9)


def first_seq(since: int) -> int:
    return (since - NOON) // SECOND + 1
