"""JSON, as zigbee2mqtt, Tasmota and most of what speaks MQTT send it.

An object of values, an array of such objects, or one bare value whose sensor the topic or the configuration names;
members.py says what each member means. Examples, and the readings in them:

    {"temperature": 21.5, "humidity": 40}                             temperature, humidity
    {"ENERGY": {"Power": 12, "Voltage": 230}}                         ENERGY.Power, ENERGY.Voltage
    {"device": "boiler-7", "sensor": "t", "value": 21.5, "unit": "°C", "time": 1700000000.5}
    [{"sensor": "t", "value": 21.5, "time": 1700000000}, {"sensor": "t", "value": 21.6, "time": 1700000001}]
    21.5                                                              named by the topic or the configuration

Where the values stand deeper, `paths` leads to them: paths.py. Each place found is read as if it were a payload, except
that what stands above it holds there: `device` and `time` beside an array of values. A path that leads to a bare value
makes a reading of its last name. A star over an object keeps the members' names in those of the readings; a star over an
array does not, as an array of objects at the top does not.

Of a key that occurs twice in an object the last one counts. A blank payload (how MQTT clears a retained message) and
`null` carry no reading, nor does a payload in which no path leads anywhere.
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from devices.decoders.common import limit_size, not_utf8
from devices.decoders.members import Members
from devices.decoders.naming import Naming, rules_of
from devices.decoders.paths import Path, parse_path
from devices.errors import DecodeError, SettingError
from devices.reading import Reading
from devices.source import Decode, Origin

_NOT_FINITE = re.compile(rb"[:\[,]\s*-?(?:NaN|nan|Infinity|inf)\b")


class Settings(Naming, frozen=True, forbid_unknown_fields=True):
    """Where the values stand, and what their names mean; see Naming.

    `device_key` and `time_key` may be paths: followed from each place, and if nothing is there, from the top.

    Attributes:
        paths: paths to the places where the values stand. Empty: the payload itself.
    """

    paths: Annotated[tuple[Annotated[str, Meta(max_length=1000)], ...], Meta(max_length=100)] = ()


def decoder(settings: Settings) -> Decode:
    """See devices.source.Decode."""
    parse = msgspec.json.Decoder().decode
    rules = msgspec.structs.replace(rules_of(settings, nested=True), places=_places(settings.paths))
    readings_of = Members(rules).readings

    def decode(data: bytes, origin: Origin, received: int) -> list[Reading]:
        limit_size(data)
        try:
            document = parse(data)
        except RecursionError:  # the parser's own guard, after a thousand levels
            raise DecodeError("nested too deeply") from None
        except UnicodeDecodeError as error:
            raise not_utf8(error) from None
        except msgspec.MsgspecError as error:
            if not data.strip():
                return []
            if _NOT_FINITE.search(data):
                raise DecodeError("not JSON: JSON knows no NaN and no infinity; send null instead") from None
            raise DecodeError(f"not JSON: {error}") from None
        return readings_of(document, origin, received)

    return decode


def _places(texts: tuple[str, ...]) -> tuple[Path, ...]:
    paths: list[Path] = []
    for index, text in enumerate(texts):
        try:
            path = parse_path(text)
        except ValueError as error:
            raise SettingError(f"paths.{index}", str(error)) from None
        for other, earlier in zip(paths, texts, strict=False):
            # Both would take the same values.
            if all(a == b or a is None or b is None for a, b in zip(path, other, strict=False)):
                problem = (
                    f"{text!r} leads to or into what {earlier!r} leads to; allowed: paths to places apart"
                )
                raise SettingError(f"paths.{index}", problem)
        paths.append(path)
    return tuple(paths)
