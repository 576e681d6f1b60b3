"""Decodes payloads in tests, the way a source would have it done."""

import math
from typing import Any

from devices.decoders import common, make_decoder
from devices.errors import DecodeError
from devices.reading import TEXT_LIMIT, Reading, is_name
from devices.source import Decode, Origin
from gateway import wire

RECEIVED = 1_750_000_000_000_000_000


def decode(
    spec: str | dict[str, Any], payload: bytes | str, *, device: str = "dev", sensor: str = ""
) -> list[Reading]:
    decoder = make_decoder(spec)
    data = payload if isinstance(payload, bytes) else payload.encode()
    return decoder(data, Origin("src", "here", device, sensor, decoder), RECEIVED)


def named(readings: list[Reading]) -> dict[str, Any]:
    """Sensor -> value, for payloads of one reading a sensor."""
    assert len({reading.sensor for reading in readings}) == len(readings)
    return {reading.sensor: reading.value for reading in readings}


def short(value: object) -> str:
    """A name for a test whose payload may be long."""
    return repr(value)[:40]


def outcome(
    decode: Decode,
    payload: bytes,
    device: str = "dev",
    sensor: str = "",
    memory: dict[str, Any] | None = None,
) -> list[Reading] | DecodeError:
    try:
        return decode(
            payload, Origin("src", "here", device, sensor, decode, {} if memory is None else memory), RECEIVED
        )
    except DecodeError as error:
        return error


def assert_reading(reading: Reading) -> None:
    assert type(reading) is Reading
    assert is_name(reading.device)
    assert is_name(reading.sensor)
    assert type(reading.value) in {float, int, bool, str}
    if isinstance(reading.value, float):
        assert math.isfinite(reading.value)
    elif isinstance(reading.value, str):
        assert len(reading.value) <= TEXT_LIMIT
    else:
        assert -(2**63) <= reading.value < 2**63
    assert type(reading.time) is int
    assert 946_684_800 * 10**9 <= reading.time < 4_102_444_800 * 10**9
    assert (reading.received, reading.source) == (RECEIVED, "src")
    assert len(reading.unit) <= common.UNIT_LIMIT
    assert wire.decode_reading(wire.encode_reading(reading, "pi", "a1", 1)).value == reading.value
