"""The bytes on disk: what goes in comes out, and no damage passes for data."""

from hypothesis import given
from hypothesis import strategies as st
from spooling import batch_of, letter, values

from devices.reading import Quality, Reading
from gateway.spool import Batch
from gateway.spool import format as fmt
from gateway.spool.format import Damage, Frame, State

readings = st.builds(
    Reading,
    st.text(min_size=1, max_size=20),
    st.text(min_size=1, max_size=20),
    st.one_of(
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        st.text(max_size=50),
    ),
    st.integers(0, 2**62),
    st.sampled_from(["line", "plant"]),
    st.integers(0, 2**62),
    st.text(max_size=5),
    st.sampled_from([Quality.GOOD, Quality.SIMULATED, Quality.REDELIVERED | Quality.RETAINED]),
)


@given(
    contents=st.lists(st.tuples(st.lists(readings, max_size=5), st.integers(0, 2)), min_size=1, max_size=4)
)
def test_a_frame_gives_back_its_batches_exactly(contents: list[tuple[list[Reading], int]]) -> None:
    batches = [Batch.restored(0, found, [letter(n) for n in range(count)], None) for found, count in contents]
    at = (7 << 40) + 1
    for batch in batches:
        at = batch.number(at) + 3  # gaps between batches are what dropped ones leave

    summary, data = fmt.encode_frame(batches)
    [frame] = list(fmt.scan(data))
    assert isinstance(frame, Frame)
    back = fmt.decode_body(frame.body)

    assert [(b.first, b.last, b.readings, b.letters) for b in back] == [
        (b.first, b.last, b.readings, b.letters) for b in batches
    ]
    assert [[type(r.value) for r in b.readings] for b in back] == [
        [type(r.value) for r in b.readings] for b in batches
    ]
    assert frame.summary == summary
    assert summary.readings == {
        name: n for name in ("line", "plant") if (n := sum(b.counts.get(name, 0) for b in batches))
    }


def three_frames() -> tuple[bytes, list[tuple[int, int]]]:
    data, bounds = b"", []
    for start in (1, 11, 21):
        batch = batch_of(range(start, start + 10))
        batch.number(start)
        _, frame = fmt.encode_frame([batch])
        bounds.append((len(data), len(data) + len(frame)))
        data += frame
    return data, bounds


def test_a_flipped_byte_anywhere_costs_the_frame_it_is_in_and_no_other() -> None:
    data, bounds = three_frames()
    for at in range(len(data)):
        for bits in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= bits
            found = list(fmt.scan(bytes(damaged)))
            hit = next(n for n, (start, end) in enumerate(bounds) if start <= at < end)
            kept = [f for f in found if isinstance(f, Frame)]
            assert [(f.start, f.end) for f in kept] == [b for n, b in enumerate(bounds) if n != hit]
            assert [(f.start, f.end) for f in found if isinstance(f, Damage)] == [bounds[hit]]


def test_a_frame_cut_off_anywhere_costs_only_itself() -> None:
    data, bounds = three_frames()
    for end in range(len(data)):
        kept = [f for f in fmt.scan(data[:end]) if isinstance(f, Frame)]
        assert len(kept) == sum(stop <= end for _, stop in bounds)


@given(noise=st.binary(max_size=300), more=st.binary(max_size=100))
def test_frames_are_found_again_behind_any_noise(noise: bytes, more: bytes) -> None:
    data, _ = three_frames()
    found = list(fmt.scan(noise + data + more))

    assert len([f for f in found if isinstance(f, Frame)]) == 3
    covered = sorted((f.start, f.end) for f in found)
    assert [end for _, end in covered[:-1]] == [start for start, _ in covered[1:]]  # nothing is passed over


def test_a_frame_closes_at_a_thousand_readings_but_never_splits_a_batch() -> None:
    batches = [batch_of(range(n)) for n in (400, 400, 400, 3000, 1)]

    assert [[len(b) for b in frame] for frame in fmt.group(batches)] == [[400, 400], [400], [3000], [1]]


def test_a_slot_of_the_cursor_gives_back_its_state_and_no_damaged_one_does() -> None:
    state = State("ab" * 8, 7, 7 << 40, tuple(f"{n:016x}" for n in range(100)), 3)
    block = fmt.encode_slot(3, state)

    assert len(block) == 4096
    assert fmt.decode_slot(block) == (3, state)
    for at in range(0, 4096, 7):
        damaged = bytearray(block)
        damaged[at] ^= 0x10
        assert fmt.decode_slot(bytes(damaged)) is None
    assert fmt.decode_slot(block[:100]) is None


def test_a_damaged_segment_header_is_no_header() -> None:
    header = fmt.Header("ab" * 8, "cd" * 8, 17)
    data = fmt.encode_header(header)

    assert fmt.decode_header(data + b"frames") == header
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        assert fmt.decode_header(bytes(damaged)) is None


def test_the_rest_of_a_batch_behind_a_position_keeps_its_sequences() -> None:
    batch = batch_of(range(5))
    batch.add_letter(letter())
    batch.add_letter(letter())
    batch.number(101)

    rest = batch.after(102)
    assert (values([rest]), len(rest.letters), rest.first, rest.last) == ([2, 3, 4], 2, 103, 107)
    rest = batch.after(106)
    assert (values([rest]), len(rest.letters), rest.first, rest.last) == ([], 1, 107, 107)
    assert not batch.after(107)
    assert batch.after(100) is batch
