"""The format of captures: what is written is read, whatever became of the file, and the recorder keeps its bound."""

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.source import Piece
from gateway.capture import (
    LINE_LIMIT,
    READING_SETTINGS,
    Line,
    Recorder,
    Unreadable,
    begin,
    decode,
    encode,
    header,
    pieces,
)

HEADER = header("pi-7", "line-1", {"kind": "serial", "port": "/dev/x", "baud": 9600, "password": "p"}, 17)
times = st.integers(0, 2**63 - 1)
data = st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.just(b"t=21.5 \xc2\xb0C\r\n")
some_pieces = st.builds(
    Piece,
    times,
    data=data,
    joined=st.booleans(),
    topic=st.text(max_size=10),
    qos=st.integers(0, 2),
    dup=st.booleans(),
    retain=st.booleans(),
) | st.builds(
    Piece,
    times,
    st.sampled_from(["opened", "quiet", "lost", "gap"]),
    joined=st.booleans(),
    reason=st.text(max_size=10),
    missing=st.integers(0, 2**40),
)


class Trickle:
    """Gives a stream in pieces of a few bytes."""

    def __init__(self, stream: bytes, most: int) -> None:
        self._stream = io.BytesIO(stream)
        self._most = most

    def read1(self, size: int) -> bytes:
        return self._stream.read(min(size, self._most))


def read(stream: bytes, most: int = 65_536) -> list[Piece | Unreadable]:
    trickle = Trickle(stream, most)
    found, rest = begin(trickle)
    assert found
    return list(pieces(trickle, rest))


def good(found: list[Piece | Unreadable]) -> list[Piece]:
    return [piece for piece in found if isinstance(piece, Piece) and not piece.event]


@given(st.lists(some_pieces, max_size=6), st.integers(1, 300))
def test_what_is_written_is_read(written: list[Piece], most: int) -> None:
    stream = HEADER + b"".join(map(encode, written))

    assert all(len(line.splitlines()) == 1 for line in map(encode, written))
    assert read(stream, most) == written


@given(st.lists(some_pieces, min_size=1, max_size=6), st.data())
def test_a_capture_torn_anywhere_gives_all_that_is_whole_and_says_so(
    written: list[Piece], draw: st.DataObject
) -> None:
    lines = [encode(piece) for piece in written]
    body = b"".join(lines)
    at = draw.draw(st.integers(0, len(body)))
    whole = sum(len(b"".join(lines[: n + 1])) - 1 <= at for n in range(len(lines)))
    found = read(HEADER + body[:at])

    assert found[:whole] == written[:whole]
    assert found[whole:] in ([], [Unreadable(whole + 2, whole + 2, torn=True)])
    assert (found[whole:] == []) == (at - len(b"".join(lines[:whole])) in {0, -1})


@given(
    st.lists(some_pieces, max_size=4), st.binary(min_size=1, max_size=60), st.lists(some_pieces, max_size=4)
)
def test_damage_in_the_middle_is_reported_and_skipped_and_counts_as_a_gap(
    before: list[Piece], damage: bytes, after: list[Piece]
) -> None:
    bad = b"{" + damage.replace(b"\n", b"") + b"\n"
    found = read(HEADER + b"".join(map(encode, before)) + bad + b"".join(map(encode, after)))

    line = len(before) + 2
    expected: list[Piece | Unreadable] = [*before, Unreadable(line, line)]
    if after:
        expected.append(Piece(before[-1].time if before else 0, "gap", joined=True))
    assert found == [*expected, *after]


@given(st.binary(max_size=200))
def test_any_bytes_behind_a_header_are_survived(stream: bytes) -> None:
    for piece in read(HEADER + stream):
        assert isinstance(piece, Piece | Unreadable)


@given(
    st.binary(max_size=200) | st.binary(max_size=60).map(lambda rest: b'{"capture":' + rest),
    st.integers(1, 20),
)
def test_what_is_no_capture_is_given_back_as_it_came(stream: bytes, most: int) -> None:
    trickle = Trickle(stream, most)
    found, rest = begin(trickle)

    assert found is None
    assert rest + b"".join(iter(lambda: trickle.read1(1000), b"")) == stream


@pytest.mark.parametrize("cut", range(len(HEADER)))
def test_a_torn_header_is_no_capture(cut: int) -> None:
    assert begin(Trickle(HEADER[:cut], 7)) == (None, HEADER[:cut])


def test_no_more_is_waited_for_than_tells_raw_bytes_from_a_capture() -> None:
    class Pipe:
        def __init__(self) -> None:
            self.reads = 0

        def read1(self, _: int) -> bytes:
            self.reads += 1
            assert self.reads == 1, "the device says nothing more for now"
            return b'{"t": 1}'

    assert begin(Pipe()) == (None, b'{"t": 1}')


def test_the_header_says_how_the_bytes_are_read_and_no_secret() -> None:
    assert json.loads(HEADER) == {
        "capture": 1,
        "gateway": "pi-7",
        "source": "line-1",
        "kind": "serial",
        "time": 17,
        "settings": {"port": "/dev/x"},
    }


def test_text_is_written_as_text_and_everything_else_in_hex() -> None:
    assert encode(Piece(1, data="t=21.5 °C\r\n".encode())) == '{"time":1,"text":"t=21.5 °C\\r\\n"}\n'.encode()
    assert encode(Piece(1, data=b"\xa5\x03\x00")) == b'{"time":1,"hex":"a50300"}\n'


def test_lines_of_any_length_are_skipped_in_bounded_memory() -> None:
    long = b"x" * (3 * LINE_LIMIT)
    last = Piece(2, data=b"b")

    found = read(HEADER + encode(Piece(1, data=b"a")) + long + b"\n" + long + b"\n" + encode(last))

    assert found == [Piece(1, data=b"a"), Unreadable(3, 4), Piece(1, "gap", joined=True), last]


def taken(recorder: Recorder) -> list[Piece | None]:
    lines = b""
    while more := recorder.take():
        lines += more
    return [decode(line) for line in lines.splitlines(keepends=True)]


def test_what_a_slow_reader_does_not_take_is_bounded_counted_and_told_as_one_gap() -> None:
    recorder = Recorder(room=10_000)
    for time in range(5000):
        recorder(Piece(time, data=b"0123456789"))

    found = taken(recorder)
    held = found[:-1]
    assert sum(len(encode(piece)) for piece in held if piece) <= 10_000
    assert [piece.time for piece in held if piece] == list(range(len(held)))
    assert found[-1] == Piece(4999, "gap", joined=True, missing=10 * (5000 - len(held)))

    recorder(Piece(5000, data=b"x"))
    assert taken(recorder) == [Piece(5000, data=b"x")]


def test_a_gap_ends_once_half_of_the_room_is_free_again() -> None:
    recorder = Recorder(room=200_000)
    for time in range(20):
        recorder(Piece(time, data=b"x" * 16_000))
    recorder.take()
    recorder(Piece(20, data=b"x" * 16_000))
    recorder.take()
    recorder(Piece(21, data=b"y"))

    assert taken(recorder)[-3:] == [
        Piece(11, data=b"x" * 16_000),
        Piece(20, "gap", joined=True, missing=9 * 16_000),
        Piece(21, data=b"y"),
    ]


def test_a_new_link_in_a_gap_is_told_behind_it() -> None:
    recorder = Recorder(room=100)
    recorder(Piece(1, data=b"x" * 60))
    recorder(Piece(2, data=b"y" * 60))
    recorder(Piece(3, "lost", reason="unplugged"))
    recorder(Piece(4, "opened"))

    assert taken(recorder) == [
        Piece(1, data=b"x" * 60),
        Piece(4, "gap", joined=True, missing=60),
        Piece(4, "opened", joined=True),
    ]


def test_a_payload_that_no_line_holds_is_a_gap_of_its_size() -> None:
    recorder = Recorder()
    recorder(Piece(1, data=b"\xff" * LINE_LIMIT))
    recorder(Piece(2, data=b"t=1"))

    assert taken(recorder) == [Piece(1, "gap", joined=True, missing=LINE_LIMIT), Piece(2, data=b"t=1")]


def test_the_documentation_shows_a_capture_and_every_setting_of_a_header() -> None:
    text = (Path(__file__).parents[2] / "docs" / "capture.md").read_text(encoding="utf-8")
    shown = "".join(re.findall(r"```json\n(.*?)```", text, re.DOTALL)).encode()
    found = Trickle(shown, 65_536)
    head, rest = begin(found)
    assert head
    assert [type(piece) for piece in pieces(found, rest)] == [Piece] * 5
    assert all(f"`{name}`" in text for name in (*READING_SETTINGS, *Line.__struct_fields__))
    assert f"at most {LINE_LIMIT:,} bytes" in text
