"""Where a new decoder starts: copy this file, then change it from top to bottom. It is a working decoder itself.

First say what the payload looks like, as prose and with an example, so that a reader can check the code against it.
Here: a made-up probe that sends six bytes, numbers with the high byte first.

    byte   0      always 0xA5
           1      number of the probe, 1 to 247; names the device where nothing else does: `probe-3`
           2-3    temperature in tenths of a degree, signed; 0x8000 if the sensor is broken
           4      humidity in percent; 0xFF if there is none
           5      checksum: the sum of bytes 0 to 4, modulo 256

    a5 03 00 d7 28 a7      probe-3: temperature 21.5 °C, humidity 40 %

Then, to make it known: add it to DECODERS in __init__.py, describe it in docs/decoders.md, and write its test with
payloads captured from a real device. test_decoder_any_input.py tries every known decoder on arbitrary bytes.
"""

import struct
from typing import Final

import msgspec

# What nearly every decoder needs is in common.py; decoders of named values should end in members.Members.readings(), so
# that `device`, `time`, `unit` and nested names mean the same everywhere.
from devices.decoders.common import checked
from devices.errors import DecodeError
from devices.reading import Reading
from devices.source import Decode, Origin

_LAYOUT: Final = struct.Struct(">BBhBB")
_START: Final = 0xA5
_BROKEN: Final = -0x8000
_NONE: Final = 0xFF


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person may set for this decoder: only what the payload cannot say and people differ in.

    Attributes:
        offset: added to every temperature, in °C: what the calibration of the probes found.
    """

    offset: float = 0.0


def decoder(settings: Settings) -> Decode:
    """See devices.source.Decode. Called once per source: what is costly to prepare is prepared here."""

    def decode(data: bytes, origin: Origin, received: int) -> list[Reading]:
        # Check everything before believing anything. Errors say what is wrong and what to look at; they quote nothing
        # of the payload, for that is in the dead letter, and logs must not show what strangers send.
        if len(data) != _LAYOUT.size:
            raise DecodeError(
                f"{len(data)} bytes; a probe sends {_LAYOUT.size}: a torn frame, or another device"
            )
        start, number, tenths, humidity, checksum = _LAYOUT.unpack(data)
        if start != _START:
            raise DecodeError("does not begin like a probe's payload: another device?")
        if checksum != sum(data[:-1]) % 256:
            raise DecodeError("wrong checksum: damaged on the way")

        device = origin.device or f"probe-{number}"
        readings = []
        if tenths != _BROKEN:  # what a device could not measure is no reading, not a zero
            celsius = tenths / 10 + settings.offset
            readings.append(Reading(device, "temperature", celsius, received, origin.source, received, "°C"))
        if humidity != _NONE:
            readings.append(Reading(device, "humidity", humidity, received, origin.source, received, "%"))
        # The device sends no time of its own, so `time` is the time of receipt, which is `received` as well.
        return checked(readings)

    return decode
