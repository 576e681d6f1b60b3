"""What the decoders share: bounds on what comes in, and the check of what they made of it."""

import math
from typing import Final

from devices.errors import DecodeError
from devices.reading import NAME_LIMIT, TEXT_LIMIT, Reading, is_name, type_of_value

PAYLOAD_LIMIT: Final = 262_144
"""Longest payload that is decoded at all, in bytes. Thousands of readings fit; parsed, a hostile one may take thirty
times its size in memory."""

READINGS_LIMIT: Final = 10_000
"""Most readings in one payload. A payload is taken whole, so this bounds what one message can push into a batch."""

UNIT_LIMIT: Final = 40
"""Longest unit, in characters."""

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_INFINITE = math.inf


def limit_size(data: bytes) -> None:
    """Refuse a payload that is too long to be parsed with bounded memory.

    Raises:
        DecodeError: it is.
    """
    if len(data) > PAYLOAD_LIMIT:
        raise DecodeError(f"the payload has {len(data)} bytes; at most {PAYLOAD_LIMIT} are decoded")


def text_of(data: bytes) -> str:
    """The payload as text, without a byte order mark.

    Raises:
        DecodeError: too long, or not UTF-8.
    """
    limit_size(data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(error) from None


def not_utf8(error: UnicodeDecodeError) -> DecodeError:
    """The error to raise for bytes that are no UTF-8."""
    return DecodeError(
        f"not UTF-8 text (at byte {error.start}): a wrong baud rate, another character set, or a binary format"
    )


def checked(readings: list[Reading]) -> list[Reading]:
    """The same readings, once each of them keeps the contract of Reading. Every decoder returns through here.

    Raises:
        DecodeError: one does not; says which rule, not which reading.
    """
    if len(readings) > READINGS_LIMIT:
        raise too_many()
    device = None  # found good last: nearly always that of all readings in the payload
    for reading in readings:
        if not (
            _is_value(reading.value)
            and is_name(reading.sensor)
            and (reading.device == device or is_name(reading.device))
            and (not reading.unit or _is_unit(reading.unit))
        ):
            raise _broken(reading)
        device = reading.device
    return readings


def too_many() -> DecodeError:
    """The error to raise for a payload that holds more than READINGS_LIMIT values."""
    return DecodeError(f"more than {READINGS_LIMIT} values in one payload; send them in several")


def _is_value(value: type_of_value) -> bool:
    if isinstance(value, float):
        return -_INFINITE < value < _INFINITE
    if isinstance(value, str):
        return len(value) <= TEXT_LIMIT
    return _LOWEST <= value <= _HIGHEST


def _is_unit(unit: str) -> bool:
    return len(unit) <= UNIT_LIMIT and unit.isprintable()


def _broken(reading: Reading) -> DecodeError:
    if isinstance(reading.value, str) and not _is_value(reading.value):
        return DecodeError(
            f"a text of {len(reading.value)} characters as a value; at most {TEXT_LIMIT} are taken"
        )
    if not _is_value(reading.value):
        return DecodeError("a number that is not finite or does not fit 64 bits")
    for what, name in (("sensor", reading.sensor), ("device", reading.device)):
        if not name:
            return DecodeError(
                f"nothing names the {what}: set `{what}` where this payload's source is configured, "
                f"use `{{{what}}}` in its MQTT topic pattern, or let the device send its name as `{what}`"
            )
        if not is_name(name):
            return DecodeError(f"the name of a {what} is not 1 to {NAME_LIMIT} printable characters")
    return DecodeError(f"a unit that is not 1 to {UNIT_LIMIT} printable characters")
