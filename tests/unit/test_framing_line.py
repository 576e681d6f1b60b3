import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.framing import KEPT, UNENDING, Damaged, common
from devices.framing.line import LineFraming

# Few bytes, so that line ends, long lines and their meeting points come up often.
streams = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bc", b"0123456789", b"\x00", b"\xff"])
).map(b"".join)


def chunked(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def frames_of(chunks: list[bytes], limit: int) -> list[bytes | Damaged]:
    lines = LineFraming(limit)
    pushed = [frame for chunk in chunks for frame in lines.push(chunk)]
    return [*pushed, *lines.reset("over")]


@given(stream=streams, cuts=st.lists(st.integers(0, 300)), limit=st.integers(1, 12))
def test_any_chunking_gives_the_same_frames(stream: bytes, cuts: list[int], limit: int) -> None:
    assert frames_of(chunked(stream, cuts), limit) == frames_of([stream], limit)


@given(stream=streams, cuts=st.lists(st.integers(0, 300)), limit=st.integers(1, 12))
def test_frames_are_the_lines_of_the_stream(stream: bytes, cuts: list[int], limit: int) -> None:
    *lines, tail = stream.split(b"\n")
    expected: list[bytes | Damaged] = [
        line.removesuffix(b"\r")
        if len(line) <= limit
        else Damaged(line[:limit], LineFraming(limit)._too_long, len(line))
        for line in lines
    ]
    expected += [Damaged(tail[:limit], "over", len(tail))] if tail else []

    assert frames_of(chunked(stream, cuts), limit) == expected


@given(stream=streams, cuts=st.lists(st.integers(0, 300)))
def test_a_line_that_does_not_end_is_the_same_in_any_chunking(stream: bytes, cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "UNENDING", 7)

        in_chunks, at_once = frames_of(chunked(stream, cuts), 3), frames_of([stream], 3)

    assert in_chunks == at_once
    *whole, tail = stream.split(b"\n")
    expected = sum(len(line) for line in whole if len(line) > 3) + len(tail)
    assert sum(frame.size for frame in at_once if isinstance(frame, Damaged)) == expected


def test_lines_lose_their_ends_and_empty_lines_are_frames() -> None:
    assert LineFraming().push(b"t=21\r\n\n\r\nh=40\nrest") == [b"t=21", b"", b"", b"h=40"]


def test_a_ten_megabyte_line_is_one_damaged_frame_with_its_size_and_the_next_line_is_read() -> None:
    lines = LineFraming()
    frames = [frame for _ in range(1000) for frame in lines.push(b"x" * 10_000)]
    assert frames == []

    frames = lines.push(b"\nt=21\n")

    damaged, following = frames
    assert isinstance(damaged, Damaged)
    assert (damaged.data, damaged.size) == (b"x" * KEPT, 10_000_000)
    assert "65536 bytes" in damaged.reason
    assert following == b"t=21"


def test_a_ten_megabyte_line_in_one_chunk_between_others_is_one_damaged_frame() -> None:
    first, damaged, last = LineFraming().push(b"a\n" + b"x" * 10_000_000 + b"\nb\n")

    assert (first, last) == (b"a", b"b")
    assert isinstance(damaged, Damaged)
    assert (len(damaged.data), damaged.size) == (KEPT, 10_000_000)


def test_a_line_that_never_ends_is_seen_before_the_link_is_gone_and_takes_no_memory() -> None:
    lines = LineFraming()
    chunk = b"x" * 65_536
    tracemalloc.start()
    frames = [frame for _ in range(2 * UNENDING // len(chunk) + 1) for frame in lines.push(chunk)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [(len(f.data), f.size) for f in frames if isinstance(f, Damaged)] == [
        (KEPT, UNENDING),
        (0, UNENDING),
    ]
    assert peak < 500_000
    assert lines.reset("unplugged") == [Damaged(b"", "unplugged", len(chunk))]
    assert lines.push(b"t=21\n") == [b"t=21"]


def test_a_line_at_the_limit_is_a_frame_and_one_byte_more_is_not() -> None:
    lines = LineFraming(max_frame=5)

    assert lines.push(b"12345\n") == [b"12345"]
    [damaged] = lines.push(b"123456\n")
    assert isinstance(damaged, Damaged)
    assert damaged.size == 6


def test_a_partial_line_never_meets_the_bytes_of_the_next_link() -> None:
    lines = LineFraming()
    assert lines.push(b"t=21\nh=4") == [b"t=21"]

    assert lines.reset("unplugged") == [Damaged(b"h=4", "unplugged", 3)]
    assert lines.push(b"0\n") == [b"0"]
    assert lines.reset("unplugged") == []


def test_work_is_linear_in_the_bytes_of_a_line_that_comes_one_byte_at_a_time() -> None:
    lines = LineFraming(max_frame=1_000_000)
    for _ in range(1_000_000):  # a copy of the buffer for each of them would take minutes
        lines.push(b"x")

    assert lines.push(b"\n") == [b"x" * 1_000_000]


def test_a_megabyte_of_short_lines_is_cut_whole() -> None:
    assert LineFraming().push(b"0123456789012345678\n" * 50_000) == [b"0123456789012345678"] * 50_000
    assert LineFraming().push(b"012345678901234567\r\n" * 50_000) == [b"012345678901234567"] * 50_000
