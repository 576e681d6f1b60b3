"""The bytes of the spool, as FORMAT.md says: segment headers, frames and cursor slots. Touches no file."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
import zstandard

from devices.reading import Reading
from gateway.clock import Unset
from gateway.spool.batch import Batch, Tally
from gateway.wire import DeadLetter

SEGMENT_MAGIC: Final = b"GWSEG\0\0\1"
FRAME_MAGIC: Final = b"GWF\1"
SLOT_MAGIC: Final = b"GWC\1"

_HEADER: Final = struct.Struct(">8s8s8sQI")
_FRAME: Final = struct.Struct(">4sIII")
_SLOT: Final = struct.Struct(">4sIQI")

HEADER_SIZE: Final = _HEADER.size
FRAME_HEAD: Final = _FRAME.size
SLOT_SIZE: Final = 4096
"""A slot is alone in its block, so that a write of one cannot harm the other."""

CRC_FROM: Final = 8
"""In frames and slots the checksum covers everything from here on: all but the magic and itself."""

FRAME_READINGS: Final = 1000
"""A frame closes at so many items: what one damaged byte can cost, against what compression gains (0.25 bytes a byte
of msgpack at 1000, 0.33 at 100)."""

UNPACKED_LIMIT: Final = 256 * 1024 * 1024
"""A body that claims to unpack to more is not one of ours: a batch closes at a megabyte."""


class Header(NamedTuple):
    """The header of a segment.

    Attributes:
        spool, run: ids, 16 hexadecimal digits each.
        first: sequence of the first item written to it.
    """

    spool: str
    run: str
    first: int


class State(msgspec.Struct, frozen=True):
    """What a cursor slot holds.

    Attributes:
        spool: id of the spool.
        epoch: of the last start that numbered anything.
        position: everything up to this sequence is in Kafka.
        runs: ids of the last starts, the newest last.
        forgotten: starts with an epoch below this one are not among them.
    """

    spool: str
    epoch: int
    position: int
    runs: tuple[str, ...]
    forgotten: int


class Summary(msgspec.Struct, frozen=True, array_like=True):
    """What a frame holds, readable without unpacking it.

    Attributes:
        first, last: sequences of its first and last item; between batches there may be gaps.
        oldest: receipt time of its first reading, 0 if it holds none.
        readings, letters: how many of each source.
        letter_size: see Batch.letter_size.
    """

    first: int
    last: int
    oldest: int
    readings: dict[str, int]
    letters: dict[str, int]
    letter_size: int

    def tally(self) -> Tally:
        """The same as counts."""
        return Tally(Counter(self.readings), Counter(self.letters), self.letter_size)


class Frame(NamedTuple):
    """A valid frame: where it lies in its segment, what it holds, and its packed body."""

    start: int
    end: int
    summary: Summary
    body: bytes


class Damage(NamedTuple):
    """A stretch of a segment that is no valid frame, and why."""

    start: int
    end: int
    reason: str


_State: Final = msgspec.msgpack.Decoder(State)
_Summary: Final = msgspec.msgpack.Decoder(Summary)
_Body: Final = msgspec.msgpack.Decoder(list[tuple[int, list[Reading], list[DeadLetter], Unset | None]])
_encode: Final = msgspec.msgpack.Encoder().encode


def encode_header(header: Header) -> bytes:
    """The first bytes of a segment."""
    ids = bytes.fromhex(header.spool), bytes.fromhex(header.run)
    bare = _HEADER.pack(SEGMENT_MAGIC, *ids, header.first, 0)[:-4]
    return bare + zlib.crc32(bare).to_bytes(4)


def decode_header(data: bytes) -> Header | None:
    """The header at the beginning of `data`; None if there is no valid one."""
    if len(data) < HEADER_SIZE:
        return None
    magic, spool, run, first, crc = _HEADER.unpack_from(data)
    if magic != SEGMENT_MAGIC or crc != zlib.crc32(data[: HEADER_SIZE - 4]):
        return None
    return Header(spool.hex(), run.hex(), first)


def group(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """`batches` in their order, as many together as go into one frame."""
    frame: list[Batch] = []
    items = 0
    for batch in batches:
        if frame and items + len(batch) > FRAME_READINGS:
            yield frame
            frame, items = [], 0
        frame.append(batch)
        items += len(batch)
    if frame:
        yield frame


def encode_frame(batches: Sequence[Batch]) -> tuple[Summary, bytes]:
    """One frame of all of `batches`, which are in order and numbered."""
    tally = Tally()
    for batch in batches:
        tally.add(batch.tally())
    oldest = next((batch.readings[0].received for batch in batches if batch.readings), 0)
    summary = Summary(
        batches[0].first,
        batches[-1].last,
        oldest,
        dict(tally.readings),
        dict(tally.letters),
        tally.letter_size,
    )
    head = _encode(summary)
    body = zstandard.compress(_encode([(b.first, b.readings, b.letters, b.unset) for b in batches]), 3)
    bare = _FRAME.pack(FRAME_MAGIC, 0, len(head), len(body)) + head + body
    crc = zlib.crc32(memoryview(bare)[CRC_FROM:])
    return summary, bare[:4] + crc.to_bytes(4) + bare[CRC_FROM:]


def frame_size(head: bytes) -> int:
    """How long the frame claims to be that begins with `head`; 0 if none does."""
    if len(head) < FRAME_HEAD or head[:4] != FRAME_MAGIC:
        return 0
    _, _, summary, body = _FRAME.unpack_from(head)
    return FRAME_HEAD + int(summary) + int(body)


def parse_frame(data: bytes, at: int, base: int = 0) -> Frame | str:
    """The frame at `at`, or why there is none. `base`: where in its segment `data` begins."""
    if len(data) - at < FRAME_HEAD:
        return "cut off"
    magic, crc, head_length, body_length = _FRAME.unpack_from(data, at)
    if magic != FRAME_MAGIC:
        return "no frame begins here"
    body_at = at + FRAME_HEAD + head_length
    end = body_at + body_length
    if end > len(data):
        return "cut off"
    if zlib.crc32(memoryview(data)[at + CRC_FROM : end]) != crc:
        return "checksum differs"
    try:
        summary = _Summary.decode(memoryview(data)[at + FRAME_HEAD : body_at])
    except msgspec.MsgspecError:
        return "summary not understood"
    return Frame(base + at, base + end, summary, data[body_at:end])


def scan(data: bytes, at: int = 0, base: int = 0) -> Iterator[Frame | Damage]:
    """All valid frames in `data` from `at` on, and the stretches between them, in order."""
    while at < len(data):
        found = parse_frame(data, at, base)
        if isinstance(found, Frame):
            yield found
            at = found.end - base
            continue
        after = at
        while (after := data.find(FRAME_MAGIC, after + 1)) >= 0:
            if isinstance(parse_frame(data, after, base), Frame):
                break
        after = len(data) if after < 0 else after
        yield Damage(base + at, base + after, found)
        at = after


def decode_body(body: bytes) -> list[Batch]:
    """The batches of a frame, in order.

    Raises:
        ValueError: not such a body, although its checksum held: another version wrote it.
    """
    try:
        if not 0 <= zstandard.frame_content_size(body) <= UNPACKED_LIMIT:
            raise ValueError("no body of a frame")
        parts = _Body.decode(zstandard.decompress(body))
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise ValueError(f"no body of a frame: {error}") from None
    return [Batch.restored(*part) for part in parts]


def encode_slot(generation: int, state: State) -> bytes:
    """One block of the cursor."""
    data = _encode(state)
    bare = (_SLOT.pack(SLOT_MAGIC, 0, generation, len(data)) + data).ljust(SLOT_SIZE, b"\0")
    return bare[:4] + zlib.crc32(bare[CRC_FROM:]).to_bytes(4) + bare[CRC_FROM:]


def decode_slot(block: bytes) -> tuple[int, State] | None:
    """Generation and state in a block of the cursor; None if it is not valid."""
    if len(block) != SLOT_SIZE:
        return None
    magic, crc, generation, length = _SLOT.unpack_from(block)
    if magic != SLOT_MAGIC or crc != zlib.crc32(block[CRC_FROM:]):
        return None
    try:
        return generation, _State.decode(block[_SLOT.size : _SLOT.size + length])
    except msgspec.MsgspecError:
        return None
