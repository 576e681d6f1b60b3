"""Events that repeat: the first ones are said, the others counted; what is lost is said each time."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from gateway.repeats import AT_ONCE, EVERY, NEVER_LEFT_OUT, Repeats

log = structlog.get_logger()


class Line:
    """structlog with repeats left out, by a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.repeats = Repeats(lambda: self.now)
        self.capture = LogCapture()
        structlog.configure(processors=[self.repeats, self.capture], cache_logger_on_first_use=False)

    @property
    def said(self) -> list[Any]:
        return self.capture.entries

    def sum_up_after(self, seconds: float) -> None:
        self.now += seconds
        self.repeats.sum_up()


@pytest.fixture
def line() -> Iterator[Line]:
    one = Line()
    yield one
    one.repeats.sum_up(early=True)  # and with it goes the timer
    structlog.reset_defaults()


def test_after_the_first_ones_the_last_is_said_with_the_number_of_the_others(line: Line) -> None:
    for number in range(AT_ONCE + 413):
        log.warning("device silent", source="plant", device=f"d{number}")
    assert len(line.said) == AT_ONCE
    line.sum_up_after(EVERY - 1)
    assert len(line.said) == AT_ONCE
    line.sum_up_after(1)

    assert line.said[AT_ONCE:] == [
        {
            "event": "device silent",
            "source": "plant",
            "device": f"d{AT_ONCE + 412}",
            "and_more": 412,
            "log_level": "warning",
        }
    ]


def test_one_that_was_left_out_alone_is_said_as_it_was(line: Line) -> None:
    for number in range(AT_ONCE + 1):
        log.info("x", number=number)
    line.sum_up_after(EVERY)

    assert line.said[AT_ONCE:] == [{"event": "x", "number": AT_ONCE, "log_level": "info"}]


def test_nothing_is_said_twice_and_a_new_minute_begins_anew(line: Line) -> None:
    for _ in range(AT_ONCE + 2):
        log.info("x")
    line.sum_up_after(EVERY)
    line.sum_up_after(EVERY)
    assert len(line.said) == AT_ONCE + 1
    for _ in range(AT_ONCE):
        log.info("x")

    assert len(line.said) == 2 * AT_ONCE + 1


def test_what_comes_now_and_then_is_always_said(line: Line) -> None:
    for _ in range(3 * AT_ONCE):
        log.info("x")
        line.now += EVERY / AT_ONCE

    assert len(line.said) == 3 * AT_ONCE


@pytest.mark.parametrize("whose", ["source", "partition", "logger"])
def test_what_is_of_another_source_is_no_repeat(line: Line, whose: str) -> None:
    for number in range(AT_ONCE):
        log.info("x", **{whose: "a"}, number=number)
    log.info("x", **{whose: "a"})
    log.info("x", **{whose: "b"})
    log.info("y", **{whose: "a"})

    assert [(one["event"], one[whose]) for one in line.said[AT_ONCE:]] == [("x", "b"), ("y", "a")]


@pytest.mark.parametrize("event", sorted(NEVER_LEFT_OUT))
def test_what_tells_of_a_loss_is_said_each_time(line: Line, event: str) -> None:
    for number in range(50):
        log.error(event, source="plant", number=number)

    assert [one["number"] for one in line.said] == list(range(50))


def test_the_end_of_the_program_waits_for_no_minute(line: Line) -> None:
    for _ in range(AT_ONCE + 3):
        log.info("x")
    line.repeats.sum_up(early=True)

    assert line.said[AT_ONCE]["and_more"] == 2


def test_the_traceback_is_that_of_the_event_and_not_of_the_moment_it_is_said(line: Line) -> None:
    for number in range(AT_ONCE + 2):
        try:
            list[int]().remove(number)
        except ValueError:
            log.exception("source failed")
    line.sum_up_after(EVERY)

    assert isinstance(line.said[AT_ONCE]["exc_info"], ValueError)
    assert line.said[AT_ONCE]["and_more"] == 1


def test_a_timer_sums_up_by_itself(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Timer(threading.Timer):
        def __init__(self, interval: float, function: Any) -> None:
            waits.append(interval)
            line.now += interval
            super().__init__(0.0, function)

    monkeypatch.setattr(threading, "Timer", Timer)
    for _ in range(AT_ONCE):
        log.info("x")
    line.now += 20
    log.info("x")
    timer = line.repeats._timer
    if timer is not None:  # it may be done already
        timer.join(5)

    assert waits == [EVERY - 20]
    assert len(line.said) == AT_ONCE + 1
