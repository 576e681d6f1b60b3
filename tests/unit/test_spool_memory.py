import tracemalloc
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.reading import Reading
from devices.source import Intake
from gateway.config import Spool
from gateway.ledger import Ledger
from gateway.spool import Batch, MemorySpool
from gateway.spool.batch import READING_BYTES
from gateway.wire import DeadLetter


class Listener:
    """A source that only notes what it is told is safe."""

    name = "line"

    def __init__(self) -> None:
        self.heard: list[Any] = []

    async def run(self, intake: Intake) -> None:
        raise AssertionError(intake)

    def safe(self, receipts: Sequence[Any]) -> None:
        self.heard += receipts

    async def close(self) -> None:
        raise AssertionError


def reading(number: int) -> Reading:
    return Reading("boiler-7", "temperature", float(number), number, "line", number)


def batch_of(numbers: Sequence[int], source: Listener | None = None, receipt: Any = None) -> Batch:
    batch = Batch()
    batch.readings = [reading(number) for number in numbers]
    batch.size = READING_BYTES * len(numbers)
    if numbers:
        batch.counts["line"] = len(numbers)
    if source is not None:
        batch.add_receipt(source, receipt)
    return batch


def letter(size: int = 100) -> DeadLetter:
    return DeadLetter(1, "pi-7", "line", "/dev/x", "no number", 1, size, b"x" * size)


def spool_of(capacity: int = 1_000_000, when_full: str = "drop-oldest") -> tuple[MemorySpool, Ledger]:
    ledger = Ledger()
    ledger.source("line")
    settings = Spool(memory_bytes=capacity, dead_letter_bytes=2000, when_full=when_full)  # type: ignore[arg-type]
    return MemorySpool(settings, ledger), ledger


def values(batches: Iterable[Batch]) -> list[int]:
    return [r.time for batch in batches for r in batch.readings]


def test_batches_leave_in_the_order_they_came_with_rising_sequences() -> None:
    spool, _ = spool_of()
    for start in (0, 10, 20):
        spool.append(batch_of(range(start, start + 10)))

    taken = spool.read(1000)

    assert list(range(30)) == values(taken)
    assert [(batch.first, batch.last) for batch in taken] == [(1, 10), (11, 20), (21, 30)]


def test_what_was_read_stays_until_it_is_committed() -> None:
    spool, ledger = spool_of()
    spool.append(batch_of([1, 2, 3]))

    first = spool.read(1000)
    again = spool.read(1000)
    spool.commit(first[-1].last)

    assert values(first) == values(again) == [1, 2, 3]
    assert spool.read(1000) == []
    assert ledger.source("line").delivered == 3


def test_a_source_hears_safe_once_and_only_when_kafka_has_the_batch() -> None:
    spool, _ = spool_of()
    source = Listener()
    spool.append(batch_of([1], source, "receipt-1"))
    taken = spool.read(1000)
    assert source.heard == []

    spool.commit(taken[-1].last)
    spool.commit(taken[-1].last)

    assert source.heard == ["receipt-1"]


def test_drop_oldest_keeps_the_newest_and_counts_what_it_dropped() -> None:
    spool, ledger = spool_of(capacity=READING_BYTES * 10)
    for start in range(0, 30, 5):
        spool.append(batch_of(range(start, start + 5)))

    assert values(spool.read(1000)) == list(range(20, 30))
    assert ledger.source("line").dropped == {"drop-oldest": 20}


def test_drop_newest_keeps_the_oldest_and_counts_what_it_dropped() -> None:
    spool, ledger = spool_of(capacity=READING_BYTES * 10, when_full="drop-newest")
    for start in range(0, 30, 5):
        spool.append(batch_of(range(start, start + 5)))

    assert values(spool.read(1000)) == list(range(10))
    assert ledger.source("line").dropped == {"drop-newest": 20}


def test_what_is_in_flight_is_never_dropped() -> None:
    spool, _ = spool_of(capacity=READING_BYTES * 10)
    spool.append(batch_of(range(5)))
    in_flight = spool.read(1000)
    for start in range(5, 50, 5):
        spool.append(batch_of(range(start, start + 5)))

    assert values(spool.read(5)) == values(in_flight) == list(range(5))


def test_dropped_readings_are_acknowledged_lest_the_brokers_window_stay_full() -> None:
    spool, _ = spool_of(capacity=READING_BYTES * 10)
    source = Listener()
    spool.append(batch_of(range(10), source, "old"))
    spool.append(batch_of(range(10, 20), source, "new"))

    assert source.heard == ["old"]


def test_garbage_cannot_push_out_readings() -> None:
    spool, ledger = spool_of()
    spool.append(batch_of([1, 2, 3]))
    for _ in range(100):
        batch = Batch()
        batch.add_letter(letter())
        spool.append(batch)

    taken = spool.read(1000)

    assert values(taken) == [1, 2, 3]
    kept = sum(len(batch.letters) for batch in taken)
    assert 0 < kept < 100
    assert ledger.source("line").dead_letters_dropped == 100 - kept


def test_dead_letters_stay_when_the_readings_of_their_batch_are_dropped() -> None:
    spool, _ = spool_of(capacity=READING_BYTES * 10)
    mixed = batch_of(range(10))
    mixed.add_letter(letter())
    spool.append(mixed)
    spool.append(batch_of(range(10, 20)))

    taken = spool.read(1000)

    assert values(taken) == list(range(10, 20))
    assert sum(len(batch.letters) for batch in taken) == 1


def test_a_batch_of_nothing_but_receipts_is_acknowledged_at_once() -> None:
    spool, _ = spool_of()
    source = Listener()

    spool.append(batch_of([], source, "comment line"))

    assert source.heard == ["comment line"]
    assert spool.read(1000) == []


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
    spool, ledger = spool_of(capacity=READING_BYTES * 20, when_full=when_full)
    line = ledger.source("line")
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
            spool.append(batch)
        elif action == "read":
            taken = spool.read(amount)
        elif taken:
            done = taken[: amount + 1]
            delivered += values(done)
            spool.commit(done[-1].last)
            taken = taken[amount + 1 :]
        depth = spool.depth()
        assert ledger.snapshot(depth.by_source, {})["balanced"]
        assert depth.size <= READING_BYTES * 20
        assert depth.readings == len(values(spool._batches))
    assert delivered == sorted(set(delivered))


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
    spool, _ = spool_of(capacity=READING_BYTES * 100)
    spool.append(batch_of(range(49)))
    assert spool.has_room()
    spool.append(batch_of(range(49, 60)))
    assert not spool.has_room()

    spool.commit(spool.read(1)[0].last)

    assert spool.has_room()


def test_a_letter_that_outlives_its_readings_is_not_acknowledged_before_it_is_safe() -> None:
    spool, _ = spool_of(capacity=READING_BYTES * 10)
    source = Listener()
    mixed = batch_of(range(10), source, "mixed")
    mixed.add_letter(letter())
    spool.append(mixed)
    spool.append(batch_of(range(10, 20)))
    assert source.heard == []

    spool.commit(spool.read(1000)[-1].last)

    assert source.heard == ["mixed"]
