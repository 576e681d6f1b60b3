"""JSON, as zigbee2mqtt, Tasmota and most of what speaks MQTT send it.

An object of values, an array of such objects, or one bare value whose sensor the topic or the configuration names;
members.py says what each member means. Examples, and the readings in them:

    {"temperature": 21.5, "humidity": 40}                             temperature, humidity
    {"ENERGY": {"Power": 12, "Voltage": 230}}                         ENERGY.Power, ENERGY.Voltage
    {"device": "boiler-7", "sensor": "t", "value": 21.5, "unit": "°C", "time": 1700000000.5}
    [{"sensor": "t", "value": 21.5, "time": 1700000000}, {"sensor": "t", "value": 21.6, "time": 1700000001}]
    21.5                                                              named by the topic or the configuration

Of a key that occurs twice in an object the last one counts. A blank payload (how MQTT clears a retained message) and
`null` carry no reading.
"""

import re

import msgspec

from devices.decoders.common import limit_size, not_utf8
from devices.decoders.members import readings_of
from devices.errors import DecodeError
from devices.reading import Reading
from devices.source import Decode, Origin

_NOT_FINITE = re.compile(rb"[:\[,]\s*-?(?:NaN|nan|Infinity|inf)\b")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set."""


def decoder(settings: Settings) -> Decode:  # noqa: ARG001 - every decoder is made from its settings
    """See devices.source.Decode."""
    parse = msgspec.json.Decoder().decode

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
