"""What every checksum promises, whatever comes: never raises, takes what is right, never what was damaged."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pytest
from framed import crc, crc32, ibm_3740, ibm_sdlc, modbus, xor
from hypothesis import given
from hypothesis import strategies as st

from devices.framing.checksum import CHECKSUMS, make_checksum


class Sender(NamedTuple):
    """How a device makes the checksum: its bytes, in the order in which `order` sends them."""

    compute: Callable[[bytes], bytes]
    order: Literal["big", "little"]


SENDERS = {
    "crc16-modbus": Sender(modbus, "little"),
    "crc16-ibm-3740": Sender(ibm_3740, "big"),
    "crc16-xmodem": Sender(lambda data: crc(data, 0x1021, 0).to_bytes(2, "big"), "big"),
    "crc16-kermit": Sender(lambda data: crc(data, 0x1021, 0, reflected=True).to_bytes(2, "little"), "little"),
    "crc16-ibm-sdlc": Sender(ibm_sdlc, "little"),
    "crc32": Sender(crc32, "little"),
    "sum8": Sender(lambda data: bytes([sum(data) % 256]), "big"),
    "xor8": Sender(lambda data: bytes([xor(data)]), "big"),
}
orders = st.sampled_from(["", "big", "little"])
every = pytest.mark.parametrize("kind", CHECKSUMS)


def sent(kind: str, content: bytes, order: str, *, hexadecimal: bool, skip: int) -> tuple[Any, bytes]:
    """The setting that reads what such a device sends, and a frame of it."""
    if kind == "nmea":
        frame = b"$" + content.replace(b"*", b"")
        return kind, frame + b"*%02X" % xor(frame[1:])
    sender = SENDERS[kind]
    found = sender.compute(content[skip:])
    if order and order != sender.order:
        found = found[::-1]
    spec = {"kind": kind, "order": order, "hex": hexadecimal, "skip": skip}
    return spec, content + (found.hex().encode() if hexadecimal else found)


@every
@given(frame=st.binary(max_size=40), order=orders, hexadecimal=st.booleans(), skip=st.integers(0, 255))
def test_any_bytes_are_the_beginning_of_themselves_or_wrong(
    kind: str,
    frame: bytes,
    order: str,
    hexadecimal: bool,  # noqa: FBT001 - drawn
    skip: int,
) -> None:
    spec = kind if kind == "nmea" else {"kind": kind, "order": order, "hex": hexadecimal, "skip": skip}
    check = make_checksum(spec)
    assert check
    found = check.strip(frame)

    assert found is None or found == frame[: -check.size]


@every
@given(
    content=st.binary(min_size=1, max_size=40),
    order=orders,
    hexadecimal=st.booleans(),
    skip=st.integers(0, 3),
    data=st.data(),
)
def test_what_was_sent_is_taken_and_what_a_flipped_bit_made_of_it_is_not(
    kind: str,
    content: bytes,
    order: str,
    hexadecimal: bool,  # noqa: FBT001 - drawn
    skip: int,
    data: st.DataObject,
) -> None:
    skip = min(skip, len(content) - 1)
    spec, frame = sent(kind, content, order, hexadecimal=hexadecimal, skip=skip)
    check = make_checksum(spec)
    assert check
    body = frame[: -check.size]
    assert check.strip(frame) == body

    bit = data.draw(st.integers(8 * skip, 8 * len(frame) - 1))  # what is skipped is not covered
    damaged = bytearray(frame)
    damaged[bit // 8] ^= 1 << bit % 8
    taken = check.strip(bytes(damaged))
    assert taken is None or taken == body  # hex digits are digits in either case


@pytest.mark.parametrize("kind", SENDERS)
@pytest.mark.parametrize("content", [b"", b"ab"])
def test_a_checksum_of_nothing_makes_no_frame(kind: str, content: bytes) -> None:
    spec, frame = sent(kind, content, "", hexadecimal=False, skip=2)
    check = make_checksum(spec)
    assert check
    assert check.strip(frame) is None
