from collections.abc import Sequence

import pytest

from gateway import heartbeat
from gateway.clock import Clock
from gateway.heartbeat import Health, Heartbeat, summary
from gateway.kafka.client import Record
from gateway.wire import WireError, decode_gateway_status


class Now:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    found = Now()
    monkeypatch.setattr("gateway.heartbeat.time.monotonic", found)
    return found


def beating(*reasons: str, synchronised: bool = True, health: Sequence[Health] = ("degraded",)) -> Heartbeat:
    clock = Clock(wall=lambda: 5_000, synchronised=lambda: synchronised)
    return Heartbeat("gateway-status", "pi-7", clock, lambda: (health[-1], reasons))


def test_a_record_says_how_the_gateway_is_and_how_far_it_has_delivered(now: Now) -> None:
    del now
    record = beating("source a is lost").record(4_000)

    assert (record.topic, record.key) == ("gateway-status", b"pi-7")
    status = decode_gateway_status(record.value)
    assert (status.gateway, status.state, status.health) == ("pi-7", "running", "degraded")
    assert (status.reasons, status.delivered_until, status.time) == (("source a is lost",), 4_000, 5_000)
    assert not status.clock_unset
    assert status.every_s == heartbeat.ALONE


def test_the_last_one_says_that_the_gateway_was_stopped(now: Now) -> None:
    del now
    assert decode_gateway_status(beating().record(1, stopped=True).value).state == "stopped"


def test_a_clock_in_doubt_is_told(now: Now) -> None:
    del now
    assert decode_gateway_status(beating(synchronised=False).record(1).value).clock_unset


def test_a_record_is_due_at_once_and_then_every_ten_seconds(now: Now) -> None:
    beat = beating()
    assert beat.due

    beat.record(1)
    now.seconds += heartbeat.EVERY - 0.1
    assert not beat.due
    now.seconds += 0.1
    assert beat.due


def test_by_itself_one_travels_three_times_less_often_unless_the_health_has_changed(now: Now) -> None:
    health: list[Health] = ["healthy"]
    beat = beating(health=health)
    assert beat.overdue

    beat.record(1)
    now.seconds += heartbeat.EVERY
    assert beat.due
    assert not beat.overdue
    health.append("degraded")
    assert beat.overdue

    beat.record(1)
    now.seconds += heartbeat.EVERY - 0.1
    health.append("down")
    assert not beat.overdue
    health.append("degraded")
    now.seconds += heartbeat.ALONE - heartbeat.EVERY
    assert not beat.overdue
    now.seconds += 0.1
    assert beat.overdue


def test_after_a_refusal_there_is_none_for_a_while_and_other_records_are_not_taken_for_it(now: Now) -> None:
    beat = beating()
    now.seconds += heartbeat.EVERY
    assert not beat.refused(Record("readings", b"pi-7/a", b"{}"), "too large")
    assert beat.due

    assert beat.refused(beat.record(1), "not authorised")
    now.seconds += heartbeat.REFUSED_PAUSE - 1
    assert not beat.due
    now.seconds += 1
    assert beat.due


def test_a_record_stays_small_however_much_is_wrong(now: Now) -> None:
    del now
    record = beating(*("x" * 10_000 for _ in range(1000))).record(1)

    assert len(record.value) < 2 * heartbeat.REASONS * heartbeat.REASON_LIMIT


def test_a_report_is_summed_up_as_health_and_reasons() -> None:
    assert summary({"health": "down", "reasons": ["a", "b"], "sources": []}) == ("down", ["a", "b"])


@pytest.mark.parametrize("data", [b"", b"{}", b'{"v":1,"gateway":"g"}', b"\xff"])
def test_what_is_no_status_is_told_apart(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_gateway_status(data)
