"""The count finds exactly what is wrong, however the partitions are mixed while they are read."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import wire
from gateway.ledger import SourceLedger
from gateway.position import Position
from gateway.verify import Audit, Findings, Gap

SPOOL = "0123456789abcdef"
PARTITIONS = 3


class Said(NamedTuple):
    """One record as it lies in a partition."""

    device: int
    number: int
    epoch: int = 1

    @property
    def partition(self) -> int:
        return self.device % PARTITIONS


def value(said: Said, spool: str = SPOOL, flags: tuple[str, ...] = ()) -> bytes:
    seq = said.epoch << 40 | said.number
    reading = wire.Reading(1, "pi-7", spool, seq, "line", f"d{said.device}", "t", 1, 1, 1.0, "", flags)
    return msgspec.json.encode(reading)


def letter(number: int, reason: str = "no number") -> bytes:
    return wire.encode_dead_letter(
        wire.DeadLetter(1, "pi-7", "line", "/dev/x", reason, 1, 1, b"x", "x", SPOOL, 1 << 40 | number)
    )


def position(last: int, dropped: dict[str, int] | None = None, spool: str = SPOOL) -> dict[str, Position]:
    ledger = {"line": SourceLedger(dropped=dropped or {})}
    return {"pi-7": Position(spool, "run", 1, 1 << 40 | last, 0, False, ledger)}


def counted(records: Sequence[Said], due: dict[str, Position] | None = None) -> Findings:
    audit = Audit()
    for offset, said in enumerate(records):
        audit.reading("readings", said.partition, offset, 0, value(said))
    audit.expect(due or {})
    return audit.findings()["pi-7"]


def swap(records: list[Said], draw: Any) -> int:
    """Swap some neighbours of one device; returns how many pairs."""
    pairs = [at for at in range(len(records) - 1) if records[at].device == records[at + 1].device]
    swapped, free = 0, 0
    for at in sorted(draw(st.sets(st.sampled_from(pairs)))) if pairs else ():
        if at >= free:
            records[at], records[at + 1] = records[at + 1], records[at]
            swapped, free = swapped + 1, at + 2
    return swapped


def repeat(records: list[Said], draw: Any) -> int:
    """Send some stretches again, once or more often; returns how many records that makes."""
    before = len(records)
    for _ in range(draw(st.integers(0, 3)) if records else 0):
        first = draw(st.integers(0, len(records) - 1))
        end = draw(st.integers(first + 1, len(records)))
        records[end:end] = records[first:end]
    return len(records) - before


@settings(deadline=None)
@given(st.data())
def test_planted_losses_repeats_and_swaps_are_found_exactly_in_any_mixture_of_partitions(
    data: st.DataObject,
) -> None:
    devices = data.draw(st.lists(st.integers(0, 6), min_size=2, max_size=80))
    stream = [Said(device, number) for number, device in enumerate(devices, 1)]
    lost = data.draw(st.sets(st.sampled_from(stream[:-1]), max_size=len(stream) - 1))
    partitions: list[list[Said]] = [[] for _ in range(PARTITIONS)]
    for said in stream:
        if said not in lost:
            partitions[said.partition].append(said)
    swaps = sum(swap(records, data.draw) for records in partitions)
    repeats = sum(repeat(records, data.draw) for records in partitions)
    mixed = []
    queues = [iter(records) for records in partitions]
    while queues:
        queue = data.draw(st.sampled_from(queues))
        if record := next(queue, None):
            mixed.append(record)
        else:
            queues.remove(queue)

    found = counted(mixed)

    assert {gap.first + n for gap in found.gaps for n in range(gap.size)} <= {one.number for one in lost}
    assert found.missing == len(lost)
    assert found.repeated == repeats
    assert found.out_of_order == swaps
    assert found.readings == len(stream) - len(lost)


def test_what_is_missing_at_the_end_is_known_from_the_position() -> None:
    found = counted([Said(0, 1), Said(0, 2)], position(5))

    assert found.gaps == [Gap(SPOOL, 1, 3, 5)]


def test_every_start_is_counted_by_itself_and_its_end_is_not_guessed() -> None:
    found = counted([Said(0, 1), Said(0, 2), Said(0, 2, 2), Said(0, 3, 2)])

    assert found.gaps == [Gap(SPOOL, 2, 1, 1)]
    assert (found.starts, found.devices, found.out_of_order) == (2, 1, 0)


def test_a_dead_letter_and_a_refused_reading_leave_no_gap() -> None:
    audit = Audit()
    audit.reading("readings", 0, 0, 0, value(Said(0, 1)))
    audit.letter("dead-letters", 0, 0, 0, letter(2))
    audit.letter("dead-letters", 0, 1, 0, letter(3, "refused by Kafka: too large"))
    audit.letter("dead-letters", 0, 2, 0, letter(3, "refused by Kafka: too large"))
    audit.reading("readings", 0, 1, 0, value(Said(0, 4)))
    audit.expect({})
    found = audit.findings()["pi-7"]

    assert found.flawless
    assert (found.readings, found.dead_letters, found.refused) == (2, 1, 1)


def test_the_ledger_explains_what_was_dropped() -> None:
    found = counted([Said(0, 1), Said(0, 5)], position(5, {"drop-oldest": 3}))
    assert (found.missing, found.dropped, found.unexplained) == (3, {"drop-oldest": 3}, 0)

    found = counted([Said(0, 1), Said(0, 5)], position(5, {"drop-oldest": 1}))
    assert (found.missing, found.unexplained) == (3, 2)


def test_what_retention_may_have_removed_is_not_called_missing() -> None:
    audit = Audit(expired=100)
    for number, sent in ((3, 90), (7, 101), (9, 110)):
        audit.reading("readings", 0, number, sent, value(Said(0, number)))
    audit.expect(position(10))
    found = audit.findings()["pi-7"]

    assert [gap.first for gap in found.gaps] == [8, 10]
    assert found.expired == 5


def test_a_spool_that_began_anew_goes_on_with_its_numbers() -> None:
    audit = Audit()
    audit.reading("readings", 0, 0, 0, value(Said(0, 1)))
    audit.reading("readings", 0, 1, 0, value(Said(0, 2), "fedcba9876543210"))
    audit.reading("readings", 0, 2, 0, value(Said(0, 4), "fedcba9876543210"))
    audit.expect(position(1, spool="aaaaaaaaaaaaaaaa"))

    assert audit.findings()["pi-7"].gaps == [Gap("fedcba9876543210", 1, 3, 3)]


def test_what_comes_while_the_partitions_are_read_is_not_missing_yet() -> None:
    audit = Audit()
    audit.reading("readings", 0, 0, 0, value(Said(0, 1)))
    audit.expect(position(2))
    assert not audit.complete()
    audit.reading("readings", 1, 0, 0, value(Said(1, 4)))
    audit.reading("readings", 1, 1, 0, value(Said(1, 2)))

    assert audit.complete()
    assert not audit.findings()["pi-7"].missing


@settings(deadline=None)
@given(st.binary() | st.just(b'{"x":' + b"[" * 20_000))
def test_any_record_that_is_none_of_ours_is_counted_and_named(data: bytes) -> None:
    audit = Audit()
    audit.reading("readings", 4, 2, 0, data)
    audit.letter("dead-letters", 0, 7, 0, None)
    audit.expect({})

    assert audit.findings() == {}
    assert audit.damaged == 2
    assert (audit.damage[0].partition, audit.damage[0].offset) == (4, 2)


def test_other_gateways_do_not_count_where_one_is_named_and_redelivered_readings_do() -> None:
    audit = Audit("pi-7")
    audit.reading("readings", 0, 0, 0, value(Said(0, 1), flags=("redelivered",)))
    audit.reading("readings", 0, 1, 0, value(Said(0, 9)).replace(b"pi-7", b"pi-8"))
    audit.expect({})

    assert list(audit.findings()) == audit.gateways == ["pi-7"]
    assert audit.findings()["pi-7"].redelivered == 1


def recovered(seq: int, spool: str = f"{SPOOL}-7", flags: tuple[str, ...] = ("recovered",)) -> bytes:
    return msgspec.json.encode(wire.Reading(1, "pi-7", spool, seq, "line", "d", "t", 1, 1, 1.0, "", flags))


def mark(readings: int, spool: str = f"{SPOOL}-7") -> bytes:
    return wire.encode_replayed(wire.Replayed(1, "pi-7", "line", "0:7", spool, readings, 1))


def audited(records: Sequence[bytes], marks: Sequence[bytes], expired: int = 0, sent: int = 0) -> Findings:
    audit = Audit(expired=expired)
    for offset, said in enumerate([Said(0, 1), Said(0, 2)]):
        audit.reading("readings", 0, offset, sent, value(said))
    for offset, one in enumerate(records, 2):
        audit.reading("readings", 0, offset, sent, one)
    for offset, one in enumerate(marks):
        audit.letter("dead-letters", 0, offset, sent, one)
    assert audit.damaged == 0
    audit.expect({})
    found = audit.findings()["pi-7"]
    assert audit.complete() == (found.missing == 0)
    return found


def test_readings_made_of_dead_letters_are_counted_beside_the_others_and_are_in_no_order() -> None:
    found = audited([recovered(2), recovered(1)], [mark(2)])

    assert found.flawless
    assert (found.readings, found.starts, found.recovered, found.replayed) == (2, 1, 2, 1)


def test_a_reading_that_a_mark_promises_and_is_not_there_is_missing() -> None:
    found = audited([recovered(1)], [mark(3), mark(1, f"{SPOOL}-8"), mark(0, f"{SPOOL}-9")])

    assert (found.missing, found.replayed) == (3, 3)
    assert [(gap.spool, gap.first, gap.last) for gap in found.gaps] == [
        (f"{SPOOL}-7", 2, 3),
        (f"{SPOOL}-8", 1, 1),
    ]


def test_a_letter_replayed_twice_shows_as_repeated_readings() -> None:
    found = audited([recovered(1), recovered(2), recovered(1)], [mark(2), mark(2)])

    assert (found.repeated, found.replayed, found.recovered) == (1, 1, 2)


def test_readings_of_letters_that_retention_may_have_removed_are_not_called_missing() -> None:
    assert audited([], [mark(2)], expired=1_000_000, sent=1_000_000).missing == 0
    assert audited([], [mark(2)], expired=1_000_000, sent=2_000_000).missing == 2
