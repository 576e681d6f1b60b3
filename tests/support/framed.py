"""Senders for tests: for each framing what its devices would send, written independently of the code under test."""

from collections.abc import Callable
from typing import Any, NamedTuple


def crc(
    data: bytes, poly: int, start: int, final: int = 0, *, width: int = 16, reflected: bool = False
) -> int:
    """Bit by bit, as the RevEng catalogue defines it; `reflected` is its refin and refout."""
    register = start
    for byte in data:
        value = int(f"{byte:08b}"[::-1], 2) if reflected else byte
        register ^= value << (width - 8)
        for _ in range(8):
            register = (register << 1) ^ (poly if register >> (width - 1) else 0)
            register &= (1 << width) - 1
    if reflected:
        register = int(f"{register:0{width}b}"[::-1], 2)
    return register ^ final


def crc32(data: bytes) -> bytes:
    return crc(data, 0x04C11DB7, 0xFFFFFFFF, 0xFFFFFFFF, width=32, reflected=True).to_bytes(4, "little")


def modbus(data: bytes) -> bytes:
    return crc(data, 0x8005, 0xFFFF, reflected=True).to_bytes(2, "little")


def ibm_3740(data: bytes) -> bytes:
    return crc(data, 0x1021, 0xFFFF).to_bytes(2, "big")


def ibm_sdlc(data: bytes) -> bytes:
    return crc(data, 0x1021, 0xFFFF, 0xFFFF, reflected=True).to_bytes(2, "little")


def xor(data: bytes) -> int:
    result = 0
    for byte in data:
        result ^= byte
    return result


def slip(data: bytes) -> bytes:
    return data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def cobs(data: bytes) -> bytes:
    out, block = bytearray(), bytearray()
    for byte in data:
        if byte:
            block.append(byte)
        if not byte or len(block) == 254:
            out += bytes([len(block) + 1]) + block
            full, block = len(block) == 254, bytearray()
            if full and not byte:
                out += b"\x01"
    if block or not out or data[-1] == 0:
        out += bytes([len(block) + 1]) + block
    return bytes(out) + b"\0"


def marked(data: bytes, escape: int, marks: bytes, change: int = 0) -> bytes:
    return b"".join(bytes([escape, byte ^ change]) if byte in marks else bytes([byte]) for byte in data)


class Device(NamedTuple):
    """A device, and what its framing must make of it.

    Attributes:
        spec: the framing that reads it.
        frame: any bytes -> a frame such a device could send, as it is handed on.
        send: a frame -> the bytes on the wire.
        noise: what may stand between two of its frames without being taken for one; ends where a frame may begin.
        sure: whether a damaged frame is as good as never taken for a good one, wherever the damage is.
    """

    spec: str | dict[str, Any]
    frame: Callable[[bytes], bytes]
    send: Callable[[bytes], bytes]
    noise: Callable[[bytes], bytes] = lambda data: data
    sure: bool = False


def _without(unwanted: bytes, least: bytes = b"x") -> Callable[[bytes], bytes]:
    return lambda data: bytes(byte for byte in data if byte not in unwanted) or least


def _then(end: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data + end


def _sized(data: bytes) -> bytes:
    payload = data[:40]
    return b"\xaa\x55" + bytes([len(payload)]) + payload


DEVICES = {
    "line": Device("line", _without(b"\r\n"), _then(b"\r\n")),
    "nmea": Device(
        {"kind": "line", "checksum": "nmea"},
        lambda data: b"$" + _without(b"\r\n$*")(data),
        lambda frame: frame + b"*%02X\r\n" % xor(frame[1:]),
    ),
    "line, crc32 in hex": Device(
        {"kind": "line", "checksum": {"kind": "crc32", "hex": True, "order": "big"}},
        _without(b"\r\n"),
        lambda frame: frame + crc32(frame)[::-1].hex().encode() + b"\n",
        _then(b"\n"),
        sure=True,
    ),
    "delimiter": Device({"kind": "delimiter", "delimiter": "23 23 21"}, _without(b"#!"), _then(b"##!")),
    "slip": Device("slip", lambda data: data or b"x", lambda frame: b"\xc0" + slip(frame)),
    "slip, crc32": Device(
        {"kind": "slip", "checksum": "crc32"},
        lambda data: data or b"x",
        lambda frame: slip(frame + crc32(frame)),
        _then(b"\xc0"),
        sure=True,
    ),
    "cobs": Device("cobs", lambda data: data or b"x", cobs),
    "cobs, crc32": Device(
        {"kind": "cobs", "checksum": "crc32"},
        lambda data: data or b"x",
        lambda frame: cobs(frame + crc32(frame)),
        _then(b"\0"),
        sure=True,
    ),
    "fixed": Device(
        {"kind": "fixed", "length": 8, "start": "aa 55"},
        lambda data: b"\xaa\x55" + data.ljust(6)[:6],
        bytes,
        _without(b"\xaa"),
    ),
    "fixed, modbus": Device(
        {"kind": "fixed", "length": 10, "checksum": "crc16-modbus"},
        lambda data: data.ljust(8)[:8],
        lambda frame: frame + modbus(frame),
    ),
    "fixed, crc32": Device(
        {"kind": "fixed", "length": 12, "checksum": "crc32"},
        lambda data: data.ljust(8)[:8],
        lambda frame: frame + crc32(frame),
        sure=True,
    ),
    "length, 3740": Device(
        {"kind": "length-prefix", "start": "aa 55", "extra": 5, "checksum": "crc16-ibm-3740"},
        _sized,
        lambda frame: frame + ibm_3740(frame),
        _without(b"\xaa"),
    ),
    "length, crc32": Device(
        {"kind": "length-prefix", "start": "aa 55", "extra": 7, "checksum": "crc32"},
        _sized,
        lambda frame: frame + crc32(frame),
        sure=True,
    ),
    "length of all, no start": Device(
        {
            "kind": "length-prefix",
            "offset": 1,
            "width": 2,
            "order": "little",
            "extra": 0,
            "checksum": "crc32",
        },
        lambda data: b"\x07" + (7 + len(data[:50])).to_bytes(2, "little") + data[:50],
        lambda frame: frame + crc32(frame),
        sure=True,
    ),
    "start-end": Device(
        {"kind": "start-end", "start": "02", "end": "03"},
        _without(b"\x02\x03"),
        lambda frame: b"\x02" + frame + b"\x03",
        lambda data: data.replace(b"\x03", b"").replace(b"\x02", b""),
    ),
    "start-end, behind": Device(
        {
            "kind": "start-end",
            "start": "02",
            "end": "0d 0a 03",
            "checksum": {"kind": "crc32", "skip": 1},
            "checksum_after_end": True,
        },
        _without(b"\r\n\x03"),
        lambda frame: b"\x02" + frame + b"\r\n\x03" + crc32(frame + b"\r\n\x03"),
        sure=True,
    ),
    "dle": Device(
        {"kind": "start-end", "start": "10 02", "end": "10 03", "escape": "10", "checksum": "crc32"},
        lambda data: data or b"x",
        lambda frame: b"\x10\x02" + marked(frame + crc32(b"\x10\x02" + frame), 0x10, b"\x10") + b"\x10\x03",
        lambda data: data.replace(b"\x10", b""),
        sure=True,
    ),
    "stx, escaped": Device(
        {"kind": "start-end", "start": "02", "end": "03", "escape": "1b"},
        lambda data: data or b"x",
        lambda frame: b"\x02" + marked(frame, 0x1B, b"\x02\x03\x1b") + b"\x03",
        lambda data: data.replace(b"\x1b", b"").replace(b"\x02", b""),
    ),
    "hdlc": Device(
        {
            "kind": "start-end",
            "start": "7e",
            "end": "7e",
            "escape": "7d",
            "escape_xor": 32,
            "checksum": "crc32",
        },
        lambda data: data or b"x",
        lambda frame: b"\x7e" + marked(frame + crc32(frame), 0x7D, b"\x7d\x7e", 32) + b"\x7e",
        sure=True,
    ),
}
