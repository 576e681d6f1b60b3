"""A clock that is set makes no silence, and teaches nothing."""

import msgspec
from detecting import NOON, SECOND, keyed, only, reading, said_of, series

from gateway.detect.bank import Bank
from gateway.detect.config import Stuck
from gateway.wire import Anomaly, Reading

ALONE = only(silence=True)
YEARS = 7 * 365 * 86_400 * SECOND
UNSET = ("clock_unset",)


def before_ntp(readings: list[Reading], by: int = YEARS, flags: tuple[str, ...] = UNSET) -> list[Reading]:
    """The same by a clock that is behind."""
    return [
        msgspec.structs.replace(one, time=one.time - by, received=one.received - by, flags=flags)
        for one in readings
    ]


def started_and_set(by: int = YEARS, flags: tuple[str, ...] = UNSET) -> list[Reading]:
    """Forty readings in 2019, and four hundred after the clock was set, thirty seconds apart."""
    readings = series([20.0 + place % 7 for place in range(440)], 30.0)
    return before_ntp(readings[:40], by, flags) + readings[40:]


def told_while_alive(bank: Bank, first: float, last: float) -> list[Anomaly]:
    said: list[Anomaly] = []
    for place in range(round(first), round(last), 10):
        said += [one.anomaly for one in bank.advance("gw-1", NOON + place * SECOND)]
    return said


def test_a_clock_that_jumps_by_years_is_no_silence_and_no_interval_to_learn() -> None:
    for flags in (UNSET, ()):  # by a gateway that knew, and by one that did not
        readings = started_and_set(flags=flags)
        assert said_of(readings, ALONE) == []

        bank = Bank(ALONE)
        bank.judge(keyed(readings))
        said = told_while_alive(bank, 439 * 30, 439 * 30 + 400)
        assert [one.sentence for one in said if one.event == "raised"] == [
            "silent for 2 min, usually a reading every 30 s"
        ]


def test_a_clock_that_jumps_by_hours_is_the_same_if_it_was_in_doubt() -> None:
    assert said_of(started_and_set(by=5 * 3600 * SECOND), ALONE) == []
    assert said_of(started_and_set(by=5 * 3600 * SECOND, flags=()), ALONE) != []


def test_a_clock_of_the_gateway_that_jumps_while_that_of_the_device_goes_on_is_the_same() -> None:
    readings = series([20.0 + place % 7 for place in range(440)], 30.0)
    for flags in (UNSET, ()):
        jumped = [
            msgspec.structs.replace(one, received=one.received - YEARS * (place < 40), flags=flags)
            for place, one in enumerate(readings)
        ]
        assert said_of(jumped, ALONE) == []
        silent = [*jumped[:400], *jumped[430:]]
        assert [one.event for one in said_of(silent, ALONE)] == [
            "raised",
            *["updated"] * 2,
            "cleared",
        ], "nothing was learnt of it"


def test_a_clock_of_the_device_that_jumps_hides_no_silence() -> None:
    readings = [*series([20.0] * 40, 30.0), reading(21.0, 2000.0, seq=41)]
    readings[40] = msgspec.structs.replace(readings[40], time=readings[40].time + YEARS)

    said = said_of(readings, ALONE)

    assert [one.score for one in said] == [150.0, 300.0, 600.0, 0.0]
    assert said[-1].sentence == "back at 21 °C after 14 min of silence"


def test_a_silence_by_a_clock_in_doubt_is_a_silence() -> None:
    readings = before_ntp([*series([20.0] * 40, 30.0), reading(21.0, 2000.0, seq=41)])

    assert [one.event for one in said_of(readings, ALONE)] == ["raised", "updated", "updated", "cleared"]


def test_a_sensor_last_heard_of_before_the_clock_was_set_is_silent_since_then() -> None:
    bank = Bank(ALONE)
    bank.judge(keyed(before_ntp(series([20.0] * 40, 30.0))))

    said = told_while_alive(bank, 0, 400)

    assert [one.event for one in said] == ["raised", "updated"]
    assert said[0].sentence == "silent for 2 min, usually a reading every 30 s"


def test_a_silence_in_which_the_clock_was_set_is_cleared_without_a_number() -> None:
    bank = Bank(ALONE)
    bank.judge(keyed(before_ntp(series([20.0] * 40, 30.0))))
    told_while_alive(bank, 0, 200)

    [(_, _, cleared)] = bank.judge(keyed([reading(21.0, 300.0, seq=41)], offset=40))

    assert cleared.sentence == "back at 21 °C after a silence in which the clock was set"


def test_equal_values_before_and_after_the_clock_was_set_are_stuck_for_no_years() -> None:
    stuck = only(stuck=Stuck(after=3600.0))
    readings = series([20.0] * 60, 30.0)
    assert said_of(before_ntp(readings[:30]) + readings[30:], stuck) == []

    said = said_of(before_ntp(readings[:30]) + series([20.0] * 200, 30.0)[30:], stuck)
    assert [one.sentence for one in said] == ["20 °C in each of 121 readings, for 60 min; 60 min are allowed"]
