"""How letters and readings are shown, by whatever verb. What devices sent is made harmless for a terminal."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from devices.reading import Reading
from gateway.terminal import plain

ROW: Final = 16
"""Bytes of a line of a dump."""

VALUE: Final = 80
"""Characters shown of a value that is a text."""


def example(payload: bytes, width: int = 40) -> str:
    """The beginning of a payload on one line, for the eye."""
    try:
        text = plain(payload.decode())
    except UnicodeDecodeError:
        text = repr(payload[:width])[2:-1]
    return text if len(text) <= width else f"{text[: width - 3]}..."


def dump(data: bytes) -> Iterator[str]:
    """The bytes as a dump has them: offset, hexadecimal, and characters."""
    for at in range(0, len(data), ROW):
        row = data[at : at + ROW]
        shown = "".join(chr(one) if 32 <= one < 127 else "." for one in row)  # noqa: PLR2004 - printable ASCII
        yield f"{at:08x}  {row.hex(' '):<{3 * ROW}} |{shown}|"


def size_of(smallest: int, largest: int) -> str:
    """Of letters, in bytes."""
    return f"{smallest} B" if smallest == largest else f"{smallest}-{largest} B"


def reading_line(one: Reading, moment: str) -> str:
    """A reading for the eye; `moment` is its time."""
    text = json.dumps(one.value, ensure_ascii=False)
    value = text if len(text) <= VALUE else f"{text[: VALUE - 3]}..."
    return plain(f"{one.device} {one.sensor} {value}{f' {one.unit}' if one.unit else ''} at {moment}")


def reading_object(one: Reading) -> Mapping[str, Any]:
    """The same for programs."""
    return {
        "device": one.device,
        "sensor": one.sensor,
        "time": one.time,
        "received": one.received,
        "value": one.value,
        "unit": one.unit,
    }


def count_of(number: int, noun: str) -> str:
    """`1 letter`, `2 letters`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
