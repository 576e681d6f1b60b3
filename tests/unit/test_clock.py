"""Times that were given before the clock was right."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooling import letter
from structlog.testing import capture_logs

from devices.reading import Quality, Reading
from gateway import clock
from gateway.clock import SECOND, Clock, Unset, correct, correct_letter

HOUR = 3600 * SECOND
IN_2019 = 1_550_000_000 * SECOND
IN_2026 = 1_780_000_000 * SECOND


class Machine:
    """A machine that thinks it is 2019 until somebody tells it better."""

    def __init__(self) -> None:
        self.base = IN_2019 - clock.since_boot()
        self.synchronised = False

    def wall(self) -> int:
        return self.base + clock.since_boot()

    def set(self, to: int, *, synchronised: bool = True) -> None:
        self.base = to - clock.since_boot()
        self.synchronised = synchronised

    def clock(self) -> Clock:
        return Clock(wall=self.wall, synchronised=lambda: self.synchronised)


def reading(time: int, received: int) -> Reading:
    return Reading("boiler-7", "temperature", 21.5, time, "line", received, "°C", Quality.SIMULATED)


def test_a_clock_that_is_right_costs_nothing_and_marks_nothing() -> None:
    machine = Machine()
    machine.set(IN_2026)
    right = machine.clock()

    assert right.mark() is None
    assert right.correction(None) is None
    assert abs(right.now() - IN_2026) < 10 * SECOND
    assert not right.adopt()


def test_once_the_clock_is_set_earlier_times_are_corrected_by_what_it_was_wrong() -> None:
    machine = Machine()
    ours = machine.clock()
    taken, unset = ours.now(), ours.mark()
    assert abs(taken - IN_2019) < 10 * SECOND
    true = IN_2026 + taken - ours.now()  # when that was in truth

    machine.set(IN_2026)
    assert ours.adopt()

    correction = ours.correction(unset)
    assert correction is not None
    assert abs(taken + correction.delta - true) < SECOND // 10
    assert correction.flags == Quality.CLOCK_CORRECTED
    assert ours.mark() is None


def test_a_step_of_the_clock_does_not_reach_readings_before_their_batch_has_ended() -> None:
    machine = Machine()
    ours = machine.clock()
    before = ours.now()
    machine.set(IN_2026)

    assert 0 <= ours.now() - before < 10 * SECOND
    ours.adopt()
    assert abs(ours.now() - IN_2026) < 10 * SECOND


def test_a_clock_that_turns_out_to_have_been_right_leaves_no_mark() -> None:
    machine = Machine()
    machine.set(IN_2026, synchronised=False)
    ours = machine.clock()
    unset = ours.mark()
    assert unset is not None

    machine.synchronised = True
    assert ours.adopt()
    assert ours.correction(unset) is None


def test_a_clock_set_by_hand_corrects_but_stays_in_doubt() -> None:
    machine = Machine()
    ours = machine.clock()
    unset = ours.mark()
    machine.set(IN_2026, synchronised=False)
    assert ours.adopt()

    correction = ours.correction(unset)
    assert correction is not None
    assert correction.flags == Quality.CLOCK_CORRECTED | Quality.CLOCK_UNSET
    now = ours.correction(ours.mark())
    assert now == (0, Quality.CLOCK_UNSET)


def test_steering_is_no_step() -> None:
    machine = Machine()
    ours = machine.clock()
    machine.base += SECOND // 2

    assert not ours.adopt()


def test_times_of_another_boot_cannot_be_corrected_and_say_so() -> None:
    machine = Machine()
    machine.set(IN_2026)

    assert machine.clock().correction(Unset("another boot", 0)) == (0, Quality.CLOCK_UNSET)


def test_a_trusted_clock_is_never_doubted() -> None:
    machine = Machine()
    trusted = Clock(trusted=True, wall=machine.wall, synchronised=lambda: False)

    assert trusted.synchronised
    assert trusted.mark() is None


def test_a_clock_in_doubt_is_said_with_what_to_do() -> None:
    with capture_logs() as logs:
        Machine().clock()

    assert [log["event"] for log in logs] == ["clock not synchronised"]
    assert "trusted" in logs[0]["remedy"]


@given(st.integers(-(10**9), 10**9), st.integers(-HOUR * 10**5, HOUR * 10**5))
def test_a_time_of_our_own_clock_moves_with_the_time_of_receipt(apart: int, delta: int) -> None:
    given_to_it = reading(IN_2019 + apart, IN_2019)
    corrected = correct(given_to_it, clock.Correction(delta, Quality.CLOCK_CORRECTED))

    assert corrected.received == IN_2019 + delta
    assert corrected.time == given_to_it.time + (delta if abs(apart) < SECOND else 0)
    assert corrected.quality == Quality.SIMULATED | Quality.CLOCK_CORRECTED
    assert (corrected.device, corrected.sensor, corrected.value, corrected.unit) == (
        "boiler-7",
        "temperature",
        21.5,
        "°C",
    )


def test_the_time_of_a_device_with_a_clock_of_its_own_stays() -> None:
    corrected = correct(
        reading(IN_2026, IN_2019), clock.Correction(IN_2026 - IN_2019, Quality.CLOCK_CORRECTED)
    )

    assert (corrected.time, corrected.received) == (IN_2026, IN_2026)


def test_dead_letters_are_corrected_too() -> None:
    one = letter()

    corrected = correct_letter(one, clock.Correction(5, Quality.CLOCK_CORRECTED))
    assert (corrected.received, corrected.flags) == (one.received + 5, ("clock_corrected",))


def test_systemd_timesyncd_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "TIMESYNC", tmp_path / "synchronized")
    clock.is_synchronised()  # whatever this machine says, it says it
    (tmp_path / "synchronized").touch()

    assert clock.is_synchronised()
