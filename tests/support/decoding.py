"""Decodes payloads in tests, the way a source would have it done."""

from typing import Any

from devices.decoders import make_decoder
from devices.reading import Reading
from devices.source import Origin

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
