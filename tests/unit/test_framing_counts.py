"""What the framings count: exact however damage is put together to dead letters, and however the stream is chopped up."""

import itertools
from typing import Any

import pytest
from framed import DEVICES
from hypothesis import given
from hypothesis import strategies as st
from streams import LIMIT, SURE, chunked, cuts, each, every, framing_of, good, read, streams

from devices.framing import Counts, Damaged, common, make_framing
from devices.framing.line import LineFraming

PLAIN = [name for name in DEVICES if name.startswith(("fixed", "length", "start-end"))]
"""Those that send a frame byte by byte as it is, so that its length on the wire is known."""

DELIMITED = {
    "line": b"\n",
    "nmea": b"\n",
    "line, crc32 in hex": b"\n",
    "delimiter": b"##!",
    "slip": b"\xc0",
    "slip, crc32": b"\xc0",
    "cobs": b"\0",
    "cobs, crc32": b"\0",
    "hdlc": b"\x7e",
}

digits = st.lists(st.sampled_from(b"0123456789"), min_size=8, max_size=8).map(bytes)


@every
@each
@given(data=st.data(), cuts=cuts)
def test_any_chunking_gives_the_same_counts(name: str, data: st.DataObject, cuts: list[int]) -> None:
    stream = data.draw(streams(DEVICES[name]) | st.binary(max_size=600))
    at_once, in_chunks, in_bytes = (framing_of(DEVICES[name]) for _ in range(3))
    read(at_once, [stream])
    read(in_chunks, chunked(stream, cuts))
    read(in_bytes, [bytes([byte]) for byte in stream])

    assert in_chunks.counts == at_once.counts
    assert in_bytes.counts == at_once.counts


@every
@each
@given(data=st.data(), cuts=cuts)
def test_the_counts_are_those_of_what_was_handed_over(
    name: str, data: st.DataObject, cuts: list[int]
) -> None:
    stream = data.draw(streams(DEVICES[name]) | st.binary(max_size=600))
    framing = framing_of(DEVICES[name])
    found = read(framing, chunked(stream, cuts))

    counts = framing.counts
    assert counts.bytes == len(stream)
    assert counts.frames == len(good(found))
    assert counts.damaged_bytes == sum(piece.size for piece in found if isinstance(piece, Damaged))
    found_again = [
        frame
        for before, frame in itertools.pairwise(found)
        if isinstance(before, Damaged) and isinstance(frame, bytes)
    ]
    assert counts.resyncs == len(found_again)


@pytest.mark.parametrize("name", DELIMITED)
@each
@given(data=st.data(), cuts=cuts)
def test_all_that_stands_between_delimiters_is_a_frame_or_counted_as_damaged(
    name: str, data: st.DataObject, cuts: list[int]
) -> None:
    stream = data.draw(streams(DEVICES[name]) | st.binary(max_size=600))
    framing = framing_of(DEVICES[name])
    read(framing, chunked(stream, cuts))

    *pieces, tail = stream.split(DELIMITED[name])
    if name in {"nmea", "line, crc32 in hex"}:
        pieces = [piece for piece in pieces if piece.removesuffix(b"\r")]  # a blank line has no checksum
    elif name not in {"line", "delimiter"}:
        pieces = [piece for piece in pieces if piece]  # nothing stands between two delimiters in a row
    counts = framing.counts
    too_long = sum(len(piece) > LIMIT for piece in [*pieces, tail])
    assert counts.too_long == too_long
    assert counts.cut_short == (0 < len(tail) <= LIMIT)
    assert len(pieces) + bool(tail) == (
        counts.frames + counts.checksum_errors + counts.malformed + counts.too_long + counts.cut_short
    )


@pytest.mark.parametrize("name", PLAIN)
@each
@given(data=st.data(), cuts=cuts)
def test_every_byte_is_in_a_good_frame_or_damaged(name: str, data: st.DataObject, cuts: list[int]) -> None:
    device = DEVICES[name]
    stream = data.draw(streams(device) | st.binary(max_size=600))
    framing = framing_of(device)
    found = read(framing, chunked(stream, cuts))

    on_the_wire = sum(len(device.send(frame)) for frame in good(found))
    assert framing.counts.bytes == on_the_wire + framing.counts.damaged_bytes


@pytest.mark.parametrize("name", [*SURE, "nmea", "length, 3740"])
@each
@given(parts=st.lists(st.tuples(digits, st.booleans(), st.integers(0, 7)), max_size=8), cuts=cuts)
def test_each_frame_with_a_wrong_byte_is_one_checksum_error(
    name: str, parts: list[tuple[bytes, bool, int]], cuts: list[int]
) -> None:
    device = DEVICES[name]
    stream = b""
    for content, damaged, at in parts:
        wire = bytearray(device.send(device.frame(content)))
        wire[wire.index(content) + at] ^= damaged  # a digit stays a digit: only the checksum can tell
        stream += wire
    framing = framing_of(device)
    read(framing, chunked(stream, cuts))

    wrong = [damaged for _, damaged, _ in parts]
    assert framing.counts == Counts(
        bytes=len(stream),
        damaged_bytes=framing.counts.damaged_bytes,
        frames=wrong.count(False),
        checksum_errors=wrong.count(True),
        resyncs=sum(first and not then for first, then in itertools.pairwise(wrong)),
    )


def test_checksum_errors_are_exact_where_only_the_checksum_tells_where_a_frame_begins() -> None:
    device = DEVICES["fixed, modbus"]
    good_one, bad = device.send(b"12345678"), b"12345679" + device.send(b"12345678")[8:]
    framing = framing_of(device)
    framing.push(good_one + bad * 3 + good_one + bad + good_one)

    assert (framing.counts.frames, framing.counts.checksum_errors, framing.counts.resyncs) == (3, 4, 2)


@every
@each
@given(content=digits, data=st.data())
def test_a_frame_under_way_when_the_link_broke_is_cut_short_once(
    name: str, content: bytes, data: st.DataObject
) -> None:
    device = DEVICES[name]
    wire = device.send(device.frame(content))
    torn = wire[: data.draw(st.integers(2, len(wire) - 1))]
    framing = framing_of(device)
    read(framing, [wire + torn])

    counts = framing.counts
    assert counts.frames == 1
    assert (counts.cut_short, counts.checksum_errors, counts.malformed, counts.resyncs) == (1, 0, 0, 0)


@pytest.mark.parametrize(("checksum", "frames"), [("", 3), ("nmea", 1)])
def test_a_blank_line_is_a_frame_but_where_lines_have_a_checksum_it_only_separates_them(
    checksum: str, frames: int
) -> None:
    framing = make_framing({"kind": "line", "checksum": checksum})
    framing.push(b"$x*78\r\n\r\n\n")

    assert framing.counts == Counts(bytes=10, frames=frames)


def test_what_follows_on_a_new_link_was_not_found_behind_damage() -> None:
    framing = LineFraming()
    framing.push(b"whole\nto")
    framing.reset("unplugged")
    framing.push(b"whole\n")

    assert framing.counts == Counts(bytes=14, damaged_bytes=2, frames=2, cut_short=1)


def test_a_line_that_does_not_end_is_too_long_once_however_often_it_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(common, "UNENDING", 50)
    framing = LineFraming(10)
    framing.push(b"x" * 320 + b"\nok\n" + b"y" * 120)
    framing.reset("over")

    assert framing.counts == Counts(bytes=444, damaged_bytes=440, frames=1, too_long=2, resyncs=1)


@pytest.mark.parametrize(
    ("spec", "stream"),
    [
        ("slip", b"\xdb\x01\xc0"),
        ("cobs", b"\x05\x01\x00"),
        ({"kind": "length-prefix", "start": "aa 55", "checksum": "crc32"}, b"\xaa\x55\x00"),
        ({"kind": "start-end", "start": "02", "end": "03"}, b"\x02 no end\x02 whole\x03"),
        ({"kind": "start-end", "start": "02", "end": "03", "escape": "1b"}, b"\x02a" + b"b" * 300 + b"\x03"),
    ],
)
def test_what_cannot_be_a_frame_is_malformed(spec: str | dict[str, Any], stream: bytes) -> None:
    framing = make_framing(spec, max_frame=LIMIT)
    framing.push(stream)

    assert (framing.counts.malformed, framing.counts.checksum_errors) == (1, 0)


def test_a_damaged_frame_counts_though_a_false_start_had_claimed_it_and_the_good_one_before_it() -> None:
    device = DEVICES["length, crc32"]
    good_one = device.send(device.frame(b"12345678"))
    bad = good_one[:-5] + b"9" + good_one[-4:]
    framing = framing_of(device)
    framing.push(b"\xaa\x55\x28" + good_one + bad + good_one)

    assert (framing.counts.frames, framing.counts.checksum_errors) == (2, 2)
