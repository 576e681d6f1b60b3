"""One bare value a payload: `21.5`, `21.5 °C`, `ON`. The MQTT topic, or the setting `sensor`, names what it is.

A number with a decimal point, with or without a unit behind it as in keyvalue.py; `true` or `false` in any case, a
boolean; anything else is a text as a whole, without the spaces around it. A blank payload carries no reading.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from devices.decoders.common import UNIT_LIMIT, checked, text_of
from devices.decoders.words import measure_of
from devices.reading import NAME_LIMIT, Reading
from devices.source import Decode, Origin


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bare value cannot say itself.

    Attributes:
        sensor: names the value where the source does not; empty if the source always does.
        unit: of numbers that come without one; empty if unknown.
    """

    sensor: Annotated[str, Meta(max_length=NAME_LIMIT)] = ""
    unit: Annotated[str, Meta(max_length=UNIT_LIMIT)] = ""


def decoder(settings: Settings) -> Decode:
    """See devices.source.Decode."""

    def decode(data: bytes, origin: Origin, received: int) -> list[Reading]:
        text = text_of(data).strip()
        if not text:
            return []
        value, unit = measure_of(text)
        if isinstance(value, (bool, str)):
            unit = ""
        elif not unit:
            unit = settings.unit
        sensor = origin.sensor or settings.sensor
        return checked([Reading(origin.device, sensor, value, received, origin.source, received, unit)])

    return decode
