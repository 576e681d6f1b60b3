import random

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.numbers import CHUNK, Numbers


@settings(deadline=None)
@given(st.lists(st.integers(0, 5000) | st.integers(0, 2**40)))
def test_it_holds_what_a_set_would_hold(numbers: list[int]) -> None:
    held, model = Numbers(), set[int]()
    for number in numbers:
        assert held.add(number) == (number not in model)
        model.add(number)
    found = [number for first, last in held.runs() for number in range(first, last + 1)]
    assert found == sorted(model)


@settings(deadline=None)
@given(st.sets(st.integers(0, 3 * CHUNK)), st.integers(0, 3 * CHUNK), st.integers(0, 3 * CHUNK))
def test_its_gaps_are_what_is_not_there(numbers: set[int], low: int, high: int) -> None:
    held = Numbers()
    for number in numbers:
        held.add(number)
    found = [number for first, last in held.gaps(low, high) for number in range(first, last + 1)]
    assert found == [number for number in range(low, high + 1) if number not in numbers]


def test_a_million_in_any_order_take_a_bit_each_and_less_once_complete() -> None:
    numbers = list(range(1, 1_000_001))
    random.Random(1).shuffle(numbers)
    held = Numbers()
    for number in numbers:
        held.add(number)
    assert list(held.gaps(1, 1_000_000)) == []
    assert len({id(bits) for bits in held._chunks.values()}) <= 3, "full chunks are not one object"
