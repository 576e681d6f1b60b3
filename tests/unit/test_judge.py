"""The judge of the laboratory finds what is planted by hand: one that cannot fail proves nothing."""

from collections.abc import Iterable
from typing import Any

import pytest
from judge import Evidence, Judge, Verdict
from mqtt_record import MqttRecord
from report import last_line
from result import Result
from tally import Tally

from gateway import wire

SECOND = 1_000_000_000
PRESS = "press-1"
LINE = "line"


class Court:
    """A judge, and what he is told. Sequences of readings go up unless said otherwise."""

    def __init__(self, mqtt: int = 10, serial: int = 0) -> None:
        self.judge = Judge()
        self._seq = 0
        self.evidence = Evidence(
            {PRESS: [n * SECOND for n in range(mqtt)], LINE: [n * SECOND for n in range(serial)]},
            frozenset([LINE]),
            Tally(),
            Tally(),
            Tally(),
            bound=1.35,
        )
        for number in range(mqtt):
            self.evidence.fresh.add(PRESS, number)

    def arrive(
        self, *numbers: int, device: str = PRESS, seq: int = 0, spool: str = "s1", flags: Iterable[str] = ()
    ) -> None:
        for number in numbers:
            self._seq += 1
            reading = wire.Reading(
                1, "pi-7", spool, seq or self._seq, "plant", device, "count", 0, 0, number, "", tuple(flags)
            )
            self.judge.take(reading, 0)

    def says(self, **but: Any) -> Verdict:
        for name, value in but.items():
            setattr(self.evidence, name, value)
        return self.judge.judge(self.evidence)


def test_all_that_was_said_once_and_in_order_is_good() -> None:
    court = Court(10, 10)
    court.arrive(*range(10))
    court.arrive(*range(10), device=LINE)
    verdict = court.says()
    assert not verdict.broken
    assert verdict.readings == 20
    assert verdict == Verdict(readings=20)


@pytest.mark.parametrize("broker_killed", [False, True])
def test_a_message_that_the_gateway_acknowledged_and_that_is_missing_is_lost(broker_killed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    court = Court(10)
    court.arrive(*range(7), 8, 9)
    court.evidence.acknowledged.add(PRESS, 7)
    verdict = court.says(broker_killed=broker_killed)
    assert (verdict.lost_mqtt, verdict.lost_by_broker) == (1, 0)
    assert verdict.broken
    assert f"missing: {PRESS} 7," in verdict.details[0]


def test_what_would_count_as_lost_can_be_asked_before_it_is_judged() -> None:
    court = Court(10)
    court.arrive(*range(9))
    assert court.judge.lost(court.evidence) == 1
    court.arrive(9)
    assert court.judge.lost(court.evidence) == 0
    assert court.says() == Verdict(readings=10)


def test_what_comes_after_it_was_judged_to_be_missing_is_told() -> None:
    court = Court(10)
    court.arrive(*range(9))
    assert court.says().lost == 1
    court.arrive(9)
    verdict = court.says()
    assert (verdict.late, verdict.lost, verdict.duplicated, verdict.reordered) == (1, 0, 0, 0)
    assert "earlier round" in verdict.details[0]


def test_a_message_that_the_broker_should_still_have_is_lost_unless_the_broker_was_killed() -> None:
    for killed, outcome in ((False, (1, 0)), (True, (0, 1))):
        court = Court(10)
        court.arrive(*range(9))
        verdict = court.says(broker_killed=killed)
        assert (verdict.lost_mqtt, verdict.lost_by_broker) == outcome


def test_the_same_identity_twice_is_duplicated() -> None:
    court = Court(10)
    court.evidence.again.add(PRESS, 4)  # no repetition by the broker excuses this
    court.arrive(*range(10))
    court.arrive(4, seq=5, flags=["redelivered"])
    assert court.says().duplicated == 1


def test_the_same_number_twice_is_duplicated_if_nobody_sent_it_twice() -> None:
    court = Court(10)
    court.arrive(*range(10), 4)
    assert court.says().duplicated == 1


def test_a_marked_repetition_counts_as_redelivered_as_often_as_the_broker_made_it() -> None:
    court = Court(10)
    court.evidence.again.add(PRESS, 4)
    court.arrive(*range(10))
    court.arrive(4, 4, flags=["redelivered"])
    verdict = court.says()
    assert (verdict.redelivered, verdict.duplicated) == (1, 1)


def test_an_unmarked_repetition_is_excused_only_if_the_broker_sent_it_as_new_again() -> None:
    court = Court(10)
    court.evidence.again.add(PRESS, 3)  # sent twice, but marked: then the reading has to be
    court.evidence.fresh.add(PRESS, 4)
    court.arrive(*range(10), 3, 4)
    verdict = court.says()
    assert (verdict.sent_again, verdict.duplicated) == (1, 1)


def test_a_repetition_is_found_rounds_later() -> None:
    court = Court(10)
    court.arrive(*range(10))
    assert not court.says().broken
    court.arrive(4)
    assert court.says().duplicated == 1


def test_numbers_that_go_backwards_are_reordered() -> None:
    court = Court(10)
    court.arrive(0, 1, 2, 4, 3, *range(5, 10))
    verdict = court.says()
    assert (verdict.reordered, verdict.lost, verdict.duplicated) == (1, 0, 0)


def test_sequences_that_go_backwards_are_reordered() -> None:
    court = Court(2)
    court.arrive(0, seq=20)
    court.arrive(1, seq=19)
    assert court.says().reordered == 1


def test_another_spool_id_begins_its_sequences_anew() -> None:
    court = Court(2)
    court.arrive(0, seq=20)
    court.arrive(1, seq=1, spool="s2")
    assert not court.says().broken


def test_what_comes_late_out_of_a_redelivery_is_not_reordered() -> None:
    court = Court(10)
    court.arrive(*range(3), 4)
    court.arrive(3, flags=["redelivered"])
    court.arrive(*range(5, 10))
    assert not court.says().broken


def test_lines_younger_than_the_bound_at_a_kill_are_unsafe_and_older_ones_lost() -> None:
    court = Court(0, 10)
    court.arrive(*range(5), 9, device=LINE)
    verdict = court.says(kills=[round(8.3 * SECOND)])
    assert (verdict.unsafe, verdict.lost_serial) == (2, 2)  # 7 and 8 of 5, 6, 7, 8
    assert verdict.unsafe_age == pytest.approx(1.3)


def test_lines_that_waited_for_a_start_are_as_old_as_the_start_at_the_next_kill() -> None:
    court = Court(0, 10)
    court.arrive(*range(5), device=LINE)
    verdict = court.says(kills=[5 * SECOND, 12 * SECOND], starts=[11 * SECOND])
    assert (verdict.unsafe, verdict.lost_serial) == (5, 0)
    assert verdict.unsafe_age == pytest.approx(1.0)

    court = Court(0, 10)
    court.arrive(*range(5), device=LINE)
    assert court.says(kills=[5 * SECOND, 12 * SECOND], starts=[10 * SECOND]).lost_serial == 4


def test_lines_written_after_the_kill_are_lost_if_they_are_missing() -> None:
    court = Court(0, 10)
    court.arrive(*range(9), device=LINE)
    assert court.says(kills=[8 * SECOND]).lost_serial == 1


def test_lines_missing_without_any_kill_are_lost() -> None:
    court = Court(0, 10)
    court.arrive(*range(9), device=LINE)
    assert court.says().lost_serial == 1


def test_a_hang_up_costs_what_was_just_being_written() -> None:
    court = Court(0, 10)
    court.arrive(*range(8), 9, device=LINE)
    assert court.says(hang_ups=[round(8.01 * SECOND)]).unsafe == 1


def test_a_damaged_frame_excuses_what_was_in_it_and_no_more() -> None:
    court = Court(10, 10)
    court.arrive(*range(7))
    court.arrive(*range(8), device=LINE)
    verdict = court.says(damaged={"mqtt": 2, "serial": 2})
    assert (verdict.damaged, verdict.lost_mqtt, verdict.lost_serial) == (4, 1, 0)


def test_an_old_copy_may_repeat_what_it_held_under_an_id_of_its_own_only() -> None:
    court = Court(10)
    court.arrive(*range(10))
    court.arrive(3, spool="s2")
    court.arrive(4)
    verdict = court.says(copied=True)
    assert (verdict.copied, verdict.duplicated, verdict.reordered) == (1, 1, 0)


def test_readings_that_nobody_said_are_foreign() -> None:
    court = Court(10, 1)
    court.arrive(*range(10), 10)
    court.arrive(0, device=LINE)
    court.judge.take(wire.Reading(1, "pi-7", "s1", 99, "line", LINE, "ount", 0, 0, 1), 0)
    assert court.says().foreign == 2


def test_missing_ones_are_counted_as_they_come() -> None:
    court = Court(10)
    court.arrive(*range(4))
    assert court.judge.missing(court.evidence.said) == 6
    assert court.judge.has_from({PRESS: 3, LINE: 0})
    assert not court.judge.has_from({PRESS: 4})


def test_the_last_line_is_the_sum_of_all_rounds() -> None:
    results = [
        Result(1, "kill", verdict=Verdict(lost_mqtt=1, lost_serial=2, duplicated=3)),
        Result(2, "cut", verdict=Verdict(reordered=4, lost_by_broker=5, unsafe=6)),
        Result(3, "disk full", unavailable="not root"),
    ]
    assert last_line(results) == "faults: 2 rounds, 3 lost, 3 duplicated, 4 reordered"
    assert [result.failed for result in results] == [True, True, False]


def publish(packet_id: int, number: int, *, again: bool = False) -> bytes:
    topic = b"plant/press-1/count"
    body = len(topic).to_bytes(2) + topic + packet_id.to_bytes(2) + b"\0" + str(number).encode()
    return bytes([0x3A if again else 0x32, len(body)]) + body


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_the_record_of_mqtt_knows_what_was_sent_and_acknowledged_however_the_bytes_are_cut(
    piece: int,
) -> None:
    record = MqttRecord()
    hear = record.connection()
    connack = b"\x20\x03\0\0\0"
    said = connack + publish(1, 40) + publish(2, 41) + publish(3, 42)
    for start in range(0, len(said), piece):
        hear(False, said[start : start + piece])
    hear(True, b"\x40\x02\0\x01" + b"\xc0\0" + b"\x40\x04\0\x02\0\0")
    assert record.waiting == 1

    hear = record.connection()
    assert record.waiting == 0
    hear(False, publish(9, 42, again=True))
    met = [
        [tally.get(PRESS, n) for n in (40, 41, 42)]
        for tally in (record.fresh, record.again, record.acknowledged)
    ]
    assert met == [[1, 1, 1], [0, 0, 1], [1, 1, 0]]
    assert record.waiting == 1
