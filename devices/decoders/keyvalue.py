"""Names and values as microcontrollers print them: `sensor_value: 42`, `t=21.5 h=40`, `temp: 21.5 °C, hum: 40 %`.

A payload is one or more lines of pairs. A pair is a name, `:` or `=`, and a value, with or without spaces around the
sign; pairs are separated by spaces, tabs, commas or semicolons. Lines that are empty or begin with `#` are ignored.

    value      a number with a decimal point; `true` or `false` in any case, a boolean; a text without spaces; or a
               text in double quotes with anything but those in it. `on` and `off` are texts.
    unit       after a number: one word behind a space (`21.5 °C`, `3 m3/h`), or letters and signs without digits right
               behind it (`21.5°C`, `40%`). A text such as `12ab` that is no number and unit wants quotes.

`device=boiler-7` names the device, and `sensor`, `value`, `unit`, `time` mean what members.py says; naming.py has the
settings that change these names, and those of sensors.

Nothing is guessed: a word that belongs to no name, a name without a value, a name that occurs twice, a decimal comma
refuse the payload, for they are also what a torn or garbled line looks like.
"""

import re
from typing import Any

from devices.decoders.common import text_of
from devices.decoders.members import Members
from devices.decoders.naming import Naming, rules_of
from devices.decoders.words import END, MEASURE, UNIT, number_of, value_of
from devices.errors import DecodeError
from devices.reading import Reading
from devices.source import Decode, Origin

_NO_NAME = r"(?!\s*[:=])"  # in `t: 21 h: 40` the h is no unit
_NAME = re.compile(r"""([^\s:=,;"]+)\s*[:=]\s*""")
_MEASURE = re.compile(rf"{MEASURE}{_NO_NAME}(?:\s+{UNIT}{_NO_NAME})?")
_QUOTED = re.compile(rf'"([^"]*)"{END}')
_WORD = re.compile(rf'[^\s=,;"]+{END}')
_GAP = re.compile(r"[\s,;]*")


class Settings(Naming, frozen=True, forbid_unknown_fields=True):
    """See Naming."""


def decoder(settings: Settings) -> Decode:
    """See devices.source.Decode."""
    known = Members(rules_of(settings))

    def decode(data: bytes, origin: Origin, received: int) -> list[Reading]:
        members: dict[str, Any] = {}
        for line in text_of(data).split("\n"):
            stripped = line.strip()
            if stripped and not stripped.startswith("#"):
                _read_pairs(stripped, members, known.naming)
        return known.readings(members, origin, received)

    return decode


def _read_pairs(line: str, members: dict[str, Any], naming: frozenset[str]) -> None:
    at = 0
    while at < len(line):
        pair = _NAME.match(line, at)
        if pair is None:
            raise DecodeError(
                f"no `name: value` or `name=value` at character {at}: a torn line, a decimal comma, or a text with "
                "spaces that wants double quotes"
            )
        name = pair[1]
        if name in members:
            raise DecodeError(f"a name occurs twice, again at character {at}: two lines run together?")
        members[name], end = _read_value(line, pair.end(), is_name=name in naming)
        gap = _GAP.match(line, end)
        at = gap.end() if gap else end


def _read_value(line: str, at: int, *, is_name: bool) -> tuple[Any, int]:
    """The value at `at`, and where it ends. What names something stays a text."""
    if quoted := _QUOTED.match(line, at):
        return quoted[1], quoted.end()
    if not is_name and (measure := _MEASURE.match(line, at)):
        number, attached, apart = measure.groups()
        if attached and apart:  # `5 m s`: one unit is enough, and the next word belongs to no name
            return {"value": number_of(number), "unit": attached}, measure.end(2)
        unit = attached or apart
        return {"value": number_of(number), "unit": unit} if unit else number_of(number), measure.end()
    if word := _WORD.match(line, at):
        return word[0] if is_name else value_of(word[0]), word.end()
    raise DecodeError(
        f"a name without a value it could have at character {at}: a torn line, or a missing quote"
    )
