"""What every framing promises, whatever comes: tried on the devices of tests/support/framed.py."""

import pytest
from framed import DEVICES
from hypothesis import assume, given
from hypothesis import strategies as st
from streams import (
    SURE,
    chunked,
    contents,
    cuts,
    each,
    every,
    framing_of,
    good,
    noises,
    read,
    streams,
    sure,
)

from devices.framing import KEPT, Damaged, common, make_framing
from devices.framing.checksum import Checksum
from devices.framing.scanned import TRIES, Scanned


@every
@each
@given(data=st.data(), cuts=cuts)
def test_any_chunking_gives_the_same_frames(name: str, data: st.DataObject, cuts: list[int]) -> None:
    stream = data.draw(streams(DEVICES[name]))
    at_once = read(framing_of(DEVICES[name]), [stream])

    assert read(framing_of(DEVICES[name]), chunked(stream, cuts)) == at_once
    assert read(framing_of(DEVICES[name]), [bytes([byte]) for byte in stream]) == at_once


@every
@each
@given(stream=st.binary(max_size=600), cuts=cuts)
def test_any_bytes_are_survived_with_bounded_memory_and_reasons_quote_none(
    name: str, stream: bytes, cuts: list[int]
) -> None:
    for found in read(framing_of(DEVICES[name]), chunked(stream, cuts)):
        if isinstance(found, Damaged):
            assert found.reason.isprintable()
            assert 0 < len(found.reason) < 120
            assert len(found.data) == min(found.size, KEPT)


@every
@each
@given(frames=st.lists(contents, max_size=6), cuts=cuts)
def test_what_a_device_sends_arrives_and_nothing_else(
    name: str, frames: list[bytes], cuts: list[int]
) -> None:
    device = DEVICES[name]
    sent = [device.frame(content) for content in frames]
    stream = b"".join(map(device.send, sent))
    found = read(framing_of(device), chunked(stream, cuts))

    assert found == sent


@pytest.mark.parametrize("name", [*SURE, "fixed", "length, 3740", "start-end", "stx, escaped"])
@each
@given(parts=st.lists(st.tuples(noises, contents), max_size=5), cuts=cuts)
def test_every_good_frame_between_garbage_is_found(
    name: str, parts: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    device = DEVICES[name]
    sent = [device.frame(content) for _, content in parts]
    garbage = [device.noise(noise) for noise, _ in parts]
    stream = b"".join(noise + device.send(frame) for noise, frame in zip(garbage, sent, strict=True))

    found = good(read(framing_of(device), chunked(stream, cuts)))
    assert [frame for frame in found if frame] == sent  # an empty line is a frame


@sure
@each
@given(frames=st.lists(contents, min_size=1, max_size=4), data=st.data(), cuts=cuts)
def test_a_frame_with_a_flipped_bit_is_never_taken_and_those_around_it_are(
    name: str, frames: list[bytes], data: st.DataObject, cuts: list[int]
) -> None:
    device = DEVICES[name]
    before, after = device.frame(b"before"), device.frame(b"after")
    sent = [device.frame(content) for content in frames]
    wire = bytearray(b"".join(map(device.send, sent)))
    bit = data.draw(st.integers(0, 8 * len(wire) - 1))
    wire[bit // 8] ^= 1 << bit % 8
    stream = device.send(before) + bytes(wire) + device.send(after)
    found = good(read(framing_of(device), chunked(stream, cuts)))

    assert found[0] == before
    assert (
        found.count(after) >= 1 or bit // 8 >= len(wire) - 4
    )  # its own delimiter was hit: the next is lost too
    left = iter([before, *sent, after])
    assert all(frame in left for frame in found)


@every
@each
@given(content=contents, data=st.data())
def test_a_frame_that_was_cut_short_is_never_a_frame(name: str, content: bytes, data: st.DataObject) -> None:
    device = DEVICES[name]
    wire = device.send(device.frame(content))
    stream = wire[: data.draw(st.integers(0, len(wire) - 1))]
    assume(not stream.endswith(b"##!"))

    found = read(framing_of(device), [stream])

    assert good(found) == []
    assert sum(piece.size for piece in found if isinstance(piece, Damaged)) >= len(stream.strip(b"\xc0\x7e"))


@sure
@each
@given(content=contents, data=st.data())
def test_a_torn_frame_does_not_swallow_the_whole_one_behind_it(
    name: str, content: bytes, data: st.DataObject
) -> None:
    device = DEVICES[name]
    wire = device.send(device.frame(content))
    torn = wire[: data.draw(st.integers(1, len(wire) - 2))]
    end = device.noise(b"")  # what delimits has to come before the next frame can be told

    assert good(read(framing_of(device), [torn + end + wire])) == [device.frame(content)]


@pytest.mark.parametrize("name", ["nmea", "line, crc32 in hex", "slip, crc32", "cobs, crc32"])
def test_where_a_checksum_is_asked_for_nothing_is_no_frame(name: str) -> None:
    device = DEVICES[name]
    wire = device.send(device.frame(b"t=1"))
    end = wire[-1:]
    blank = b"\x01" + end if name.startswith("cobs") else end

    # A flipped bit can make a delimiter of the first byte, and a torn COBS frame can be an empty one.
    assert read(framing_of(device), [blank + wire + blank + blank]) == [device.frame(b"t=1")]


@pytest.mark.parametrize(
    "name", [name for name, device in DEVICES.items() if name not in {"line", "delimiter"}]
)
@pytest.mark.parametrize(
    "noise", [b"\xdb\x01\xc0", b"\x05\x01\x00", b"\x00", b"x\r\n", b"\x7d\x7e", b"\xaa\x55\xff"]
)
def test_a_flood_of_garbage_makes_few_dead_letters_that_tell_its_size(name: str, noise: bytes) -> None:
    framing = framing_of(DEVICES[name])
    stream = noise * (400_000 // len(noise))
    found = read(framing, [stream[at : at + 16_384] for at in range(0, len(stream), 16_384)])

    damaged = [piece for piece in found if isinstance(piece, Damaged)]
    if len(good(found)) < 10:  # noise of one framing can be a device of another
        assert len(damaged) < 25
        assert sum(piece.size for piece in damaged) in {0, *range(len(stream) - 3, len(stream) + 1)}


def test_pieces_of_garbage_grow_until_a_good_frame_comes() -> None:
    framing = make_framing("slip")
    bad = b"\xdb\x01\xc0"
    sizes = [piece.size for piece in framing.push(bad * 1000) if isinstance(piece, Damaged)]
    assert sizes[0] < 2 * common.FIRST_PIECE
    assert sizes == sorted(sizes)

    damaged, frame, again = [*framing.push(b"\xc0good\xc0" + bad), *framing.reset("over")]
    assert isinstance(damaged, Damaged)
    assert frame == b"good"
    assert again == Damaged(bad, damaged.reason, 3)


class Counting:
    """A checksum that is never right, and counts the bytes it saw."""

    size = 2
    finds = True

    def __init__(self) -> None:
        self.seen = 0

    def strip(self, frame: bytes) -> bytes | None:
        self.seen += len(frame)
        return None


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "fixed", "length": 1000, "start": "aa"},
        {"kind": "length-prefix", "width": 2, "start": "aa"},
        {"kind": "start-end", "start": "aa", "end": "aa 55"},
    ],
)
def test_a_stream_of_false_starts_costs_a_bounded_number_of_checks_for_each_byte(
    spec: dict[str, object],
) -> None:
    check: Checksum = Counting()
    framing = make_framing({**spec, "checksum": "crc16-modbus"}, max_frame=50_000)
    assert isinstance(framing, Scanned)
    framing._check = check
    stream = (b"\xaa" * 5000 + b"\xaa\x55") * 60

    for at in range(0, len(stream), 4096):
        framing.push(stream[at : at + 4096])

    assert isinstance(check, Counting)
    assert check.seen <= (TRIES + 1) * (len(stream) + 50_000)


def test_a_frame_that_a_false_start_holds_back_comes_out_when_the_line_falls_quiet() -> None:
    framing = make_framing({"kind": "length-prefix", "start": "aa", "checksum": "sum8", "extra": 3})
    frame = b"\xaa\x02hi"
    wire = frame + bytes([sum(frame) & 255])

    assert framing.push(b"\xaa\xf0" + wire) == []
    assert framing.held
    false, held = framing.reset("quiet")
    assert (false, held) == (Damaged(b"\xaa\xf0", "quiet", 2), frame)


def test_an_escape_byte_that_is_marked_itself_does_not_hide_the_end() -> None:
    framing = make_framing(DEVICES["stx, escaped"].spec)

    assert framing.push(b"\x02a\x1b\x1b\x03\x02\x1b\x1b\x1b\x03b\x03") == [b"a\x1b", b"\x1b\x03b"]
