"""What tests of framings send: frames of the devices of framed.py, whole and damaged, and noise; in any chunks."""

import itertools
from collections.abc import Iterable

import pytest
from framed import DEVICES, Device
from hypothesis import settings
from hypothesis import strategies as st

from devices.framing import KEPT, Damaged, Framing, make_framing

LIMIT = 200

# What means something in one framing or another, so that it comes up often.
SPECIAL = [
    b"\n",
    b"\r\n",
    b"##",
    b"\xaa\x55",
    b"\x02",
    b"\x03",
    b"\x10",
    b"\x1b",
    b"\x7e",
    b"\x7d",
    b"\xc0",
    b"\xdb",
]
noises = st.lists(st.sampled_from(SPECIAL) | st.binary(max_size=9), max_size=6).map(b"".join)
contents = st.binary(max_size=20) | noises
cuts = st.lists(st.integers(0, 400), max_size=12)
# Every promise is tried on every device: a part of the usual number of examples each is some thousands together.
each = settings(deadline=None, max_examples=settings().max_examples // 8)
every = pytest.mark.parametrize("name", DEVICES)
SURE = [name for name, device in DEVICES.items() if device.sure]
sure = pytest.mark.parametrize("name", SURE)


def chunked(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def read(framing: Framing, chunks: Iterable[bytes]) -> list[bytes | Damaged]:
    found: list[bytes | Damaged] = []
    for chunk in chunks:
        found += framing.push(chunk)
        assert framing.held <= LIMIT + KEPT
    found += framing.reset("over")
    assert framing.held == 0
    return found


def framing_of(device: Device) -> Framing:
    return make_framing(device.spec, max_frame=LIMIT)


def good(found: list[bytes | Damaged]) -> list[bytes]:
    return [frame for frame in found if isinstance(frame, bytes)]


@st.composite
def streams(draw: st.DrawFn, device: Device) -> bytes:
    """Whole frames, torn frames, frames with a wrong byte, and noise, in any order and without anything between."""
    stream = b""
    for content in draw(st.lists(contents, max_size=6)):
        wire = device.send(device.frame(content))
        kind = draw(st.sampled_from(["whole", "torn", "wrong", "noise"]))
        at = draw(st.integers(0, len(wire) - 1))
        stream += {
            "whole": wire,
            "torn": wire[:at],
            "wrong": wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :],
            "noise": content,
        }[kind]
    return stream
