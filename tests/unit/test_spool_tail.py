"""The spool while nothing touches the disk: first in, first out, bounded, and honest about what it drops."""

import asyncio
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spooling import Listener, Rig, batch_of, letter, values

from devices.reading import Reading
from gateway.config import Spool as SpoolSettings
from gateway.spool import Batch
from gateway.spool.batch import READING_BYTES

EPOCH = 1 << 40
"""Sequences of the first start begin above it."""


class MemoryRig(Rig):
    """A spool whose run() is not called, so that it never spills; capacity below what the configuration allows."""

    def __init__(self, capacity: int = 1_000_000, **settings: Any) -> None:
        super().__init__(memory_bytes=capacity, **settings)

    def read(self, limit: int) -> list[Batch]:
        return asyncio.run(self.spool.read(limit))


def rig_of(capacity: int = 1_000_000, when_full: str = "drop-oldest") -> MemoryRig:
    return MemoryRig(capacity, when_full=when_full)


def test_batches_leave_in_the_order_they_came_with_rising_sequences() -> None:
    rig = rig_of()
    for start in (0, 10, 20):
        rig.spool.append(batch_of(range(start, start + 10)))

    taken = rig.read(1000)

    assert list(range(30)) == values(taken)
    assert [(batch.first, batch.last) for batch in taken] == [
        (EPOCH + 1, EPOCH + 10),
        (EPOCH + 11, EPOCH + 20),
        (EPOCH + 21, EPOCH + 30),
    ]


def test_what_was_read_stays_until_it_is_committed() -> None:
    rig = rig_of()
    rig.spool.append(batch_of([1, 2, 3]))

    first = rig.read(1000)
    again = rig.read(1000)
    rig.spool.commit(first[-1].last)

    assert values(first) == values(again) == [1, 2, 3]
    assert rig.read(1000) == []
    assert rig.line.delivered == 3


def test_a_source_hears_safe_once_and_only_when_kafka_has_the_batch() -> None:
    rig = rig_of()
    source = Listener()
    rig.spool.append(batch_of([1], source, "receipt-1"))
    taken = rig.read(1000)
    assert source.heard == []

    rig.spool.commit(taken[-1].last)
    rig.spool.commit(taken[-1].last)

    assert source.heard == ["receipt-1"]


def test_drop_oldest_keeps_the_newest_and_counts_what_it_dropped() -> None:
    rig = rig_of(capacity=READING_BYTES * 10)
    for start in range(0, 30, 5):
        rig.spool.append(batch_of(range(start, start + 5)))

    assert values(rig.read(1000)) == list(range(20, 30))
    assert rig.line.dropped == {"drop-oldest": 20}


def test_a_batch_larger_than_the_memory_costs_no_other_and_the_spool_goes_on() -> None:
    rig = rig_of(capacity=READING_BYTES * 10)
    rig.spool.append(batch_of(range(5)))
    rig.spool.append(batch_of(range(5, 16)))

    assert rig.line.dropped == {"drop-oldest": 11}
    taken = rig.read(1000)
    assert values(taken) == list(range(5))
    rig.spool.commit(taken[-1].last)
    assert rig.read(1000) == []


def test_drop_newest_keeps_the_oldest_and_counts_what_it_dropped() -> None:
    rig = rig_of(capacity=READING_BYTES * 10, when_full="drop-newest")
    for start in range(0, 30, 5):
        rig.spool.append(batch_of(range(start, start + 5)))

    assert values(rig.read(1000)) == list(range(10))
    assert rig.line.dropped == {"drop-newest": 20}


def test_what_is_in_flight_is_never_dropped() -> None:
    rig = rig_of(capacity=READING_BYTES * 10)
    rig.spool.append(batch_of(range(5)))
    in_flight = rig.read(1000)
    for start in range(5, 50, 5):
        rig.spool.append(batch_of(range(start, start + 5)))

    assert values(rig.read(5)) == values(in_flight) == list(range(5))


def test_dropped_readings_are_acknowledged_lest_the_brokers_window_stay_full() -> None:
    rig = rig_of(capacity=READING_BYTES * 10)
    source = Listener()
    rig.spool.append(batch_of(range(10), source, "old"))
    rig.spool.append(batch_of(range(10, 20), source, "new"))

    assert source.heard == ["old"]


def test_garbage_cannot_push_out_readings() -> None:
    rig = rig_of()
    rig.spool.append(batch_of([1, 2, 3]))
    for _ in range(100):
        batch = Batch()
        batch.add_letter(letter())
        rig.spool.append(batch)

    taken = rig.read(1000)

    assert values(taken) == [1, 2, 3]
    kept = sum(len(batch.letters) for batch in taken)
    assert 0 < kept < 100
    assert rig.line.dead_letters_dropped == 100 - kept


def test_dead_letters_stay_when_the_readings_of_their_batch_are_dropped() -> None:
    rig = rig_of(capacity=READING_BYTES * 10)
    mixed = batch_of(range(10))
    mixed.add_letter(letter())
    rig.spool.append(mixed)
    rig.spool.append(batch_of(range(10, 20)))

    taken = rig.read(1000)

    assert values(taken) == list(range(10, 20))
    assert sum(len(batch.letters) for batch in taken) == 1


def test_a_batch_of_nothing_but_receipts_is_acknowledged_at_once() -> None:
    rig = rig_of()
    source = Listener()

    rig.spool.append(batch_of([], source, "comment line"))

    assert source.heard == ["comment line"]
    assert rig.read(1000) == []


actions = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 8), st.booleans()),
        st.tuples(st.just("read"), st.integers(1, 30), st.booleans()),
        st.tuples(st.just("commit"), st.integers(0, 5), st.booleans()),
    ),
    max_size=60,
)


@pytest.mark.parametrize("when_full", ["drop-oldest", "drop-newest"])
@given(steps=actions)
def test_the_ledger_balances_and_order_holds_whatever_happens(
    when_full: str, steps: list[tuple[str, int, bool]]
) -> None:
    rig = rig_of(capacity=READING_BYTES * 20, when_full=when_full)
    line = rig.line
    number = 0
    taken: list[Batch] = []
    delivered: list[int] = []
    for action, amount, with_letter in steps:
        if action == "append":
            batch = batch_of(range(number, number + amount))
            if with_letter:
                batch.add_letter(letter(10))
            number += amount
            line.made += amount
            rig.spool.append(batch)
        elif action == "read":
            taken = rig.read(amount)
        elif taken:
            done = taken[: amount + 1]
            delivered += values(done)
            rig.spool.commit(done[-1].last)
            taken = taken[amount + 1 :]
        depth = rig.spool.depth()
        assert rig.balanced
        assert depth.memory_size <= READING_BYTES * 20
        assert depth.readings == len(values(rig.spool._tail.batches))
    assert delivered == sorted(set(delivered))


def test_block_keeps_what_a_source_waits_for_and_drops_what_nobody_holds_back() -> None:
    rig = rig_of(capacity=READING_BYTES * 10, when_full="block")
    broker = Listener(window=20)
    rig.spool.append(batch_of(range(10), broker, "first"))
    rig.spool.append(batch_of(range(10, 15), broker, "second"))
    rig.spool.append(batch_of(range(15, 20)))

    assert values(rig.read(1000)) == list(range(15))
    assert broker.heard == []  # so the broker stops at its window
    assert rig.line.dropped == {"block": 5}


def test_the_estimate_of_what_a_reading_costs_is_honest() -> None:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    held = [
        Reading(f"boiler-{n}", f"temperature-{n}", n * 1.5, 10**18 + n, "line", 10**18 + 2 * n)
        for n in range(10_000)
    ]
    each = (tracemalloc.get_traced_memory()[0] - before) / len(held)
    tracemalloc.stop()

    assert 0.6 * READING_BYTES < each < 1.2 * READING_BYTES


def test_sources_that_can_wait_are_asked_to_while_half_of_the_room_is_taken() -> None:
    rig = rig_of(capacity=READING_BYTES * 100)
    rig.spool.append(batch_of(range(49)))
    assert rig.spool.has_room()
    rig.spool.append(batch_of(range(49, 60)))
    assert not rig.spool.has_room()

    rig.spool.commit(rig.read(1)[0].last)

    assert rig.spool.has_room()


def test_a_letter_that_outlives_its_readings_is_not_acknowledged_before_it_is_safe() -> None:
    rig = rig_of(capacity=READING_BYTES * 10)
    source = Listener()
    mixed = batch_of(range(10), source, "mixed")
    mixed.add_letter(letter())
    rig.spool.append(mixed)
    rig.spool.append(batch_of(range(10, 20)))
    assert source.heard == []

    rig.spool.commit(rig.read(1000)[-1].last)

    assert source.heard == ["mixed"]


def test_other_bounds_and_another_policy_hold_from_the_next_batch_on() -> None:
    size = batch_of(range(10)).size
    rig = rig_of(2 * size, "drop-newest")
    for start in (0, 10, 20):
        rig.spool.append(batch_of(range(start, start + 10)))
    assert rig.spool.depth().readings == 20

    rig.spool.adopt(SpoolSettings(memory_bytes=3 * size, disk_bytes=99_000_000, when_full="drop-oldest"))
    for start in (30, 40):
        rig.spool.append(batch_of(range(start, start + 10)))

    assert values(rig.read(1000)) == list(range(10, 20)) + list(range(30, 50))
    assert rig.spool.depth().disk_capacity == rig.spool._body.disk._capacity == 99_000_000
