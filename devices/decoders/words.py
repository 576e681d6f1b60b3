"""Values as devices print them: numbers, units, booleans, texts."""

import re
from typing import Final

from devices.errors import DecodeError

_NUMBER: Final = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_SIGN: Final = r"[^\W\d_]|[°%‰*/·^²³⁻¹]"  # letters of any script, and what else stands in units
END: Final = r"(?=[\s,;]|\Z)"
"""Where a word ends, for a regular expression."""

MEASURE: Final = rf"({_NUMBER})((?:{_SIGN})*){END}"
"""A number and the unit right behind it, which holds no digits: `1f` is hardly a unit, `0x1f` never."""

UNIT: Final = rf"((?:{_SIGN})(?:{_SIGN}|[0-9-])*){END}"
"""A unit that stands apart."""

_WHOLE = re.compile(r"[+-]?[0-9]+")
_PLAIN = re.compile(_NUMBER)
_MEASURE = re.compile(rf"{MEASURE}(?:\s+{UNIT})?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_LONGEST_WHOLE = (
    40  # characters; longer ones fit no 64 bits, leading zeros aside, and take quadratic time to read
)


def value_of(word: str) -> float | int | bool | str:
    """What a word means: a number, `true` or `false` in any case as a boolean, else the text itself.

    `on`, `off`, `yes` and `no` stay texts: which of them is true is for the consumer to say.

    Raises:
        DecodeError: NaN, infinite, or a whole number that cannot fit 64 bits.
    """
    if _PLAIN.fullmatch(word):
        return number_of(word)
    lower = word.lower()
    if lower in {"true", "false"}:
        return lower == "true"
    if _NOT_FINITE.fullmatch(word):
        raise DecodeError("NaN or infinity in place of a number: the device could not measure")
    return word


def measure_of(text: str) -> tuple[float | int | bool | str, str]:
    """What a whole text means, as value_of(), and the unit behind a number; the unit is empty if there is none.

    Raises:
        DecodeError: as value_of().
    """
    measure = _MEASURE.fullmatch(text)
    if measure is None or (
        measure[2] and measure[3]
    ):  # `5 m s` has one word too many to be a number and its unit
        return value_of(text), ""
    return number_of(measure[1]), measure[2] or measure[3] or ""


def number_of(word: str) -> float | int:
    """The number that a word stands for which has the form of one. It may be too large: see common.checked().

    Raises:
        DecodeError: a whole number that cannot fit 64 bits.
    """
    if not _WHOLE.fullmatch(word):
        return float(word)
    if len(word) > _LONGEST_WHOLE:
        raise DecodeError("a whole number that does not fit 64 bits")
    return int(word)
