"""The domain model: a reading, wherever it came from."""

import enum
import functools
from typing import Final

import msgspec

NAME_LIMIT: Final = 200
"""Longest name of a device or a sensor, in characters. It becomes a Kafka key and a row of a table on a screen."""

TEXT_LIMIT: Final = 4096
"""Longest text that can be a value, in characters: a state or an error code fits, a document does not."""

type_of_value = float | int | bool | str


class Quality(enum.IntFlag):
    """What a consumer should know before it trusts a reading. No flag: nothing unusual."""

    GOOD = 0
    SIMULATED = 1
    """Made by the simulator, as a stand-in or as a source of its own."""
    REDELIVERED = 2
    """The MQTT broker sent this message before and had no acknowledgement: it may be in Kafka already."""
    RETAINED = 4
    """The MQTT broker kept this message: the value is of some earlier time."""
    CLOCK_UNSET = 8
    """The gateway's clock was not known to be right, so neither is the time of receipt."""
    CLOCK_CORRECTED = 16
    """The gateway's clock was set after this was received, and the times were corrected before it was sent."""
    RECOVERED = 32
    """Made of a dead letter, after the configuration was corrected: it is of the time it says, and comes out of order."""


class Reading(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One value of one sensor at one time.

    The spool stores the fields by their place: new ones are appended, with a default, and none is ever moved.

    Attributes:
        device: the physical thing, such as `boiler-7`; 1 to NAME_LIMIT printable characters.
        sensor: the measured quantity, such as `temperature`; 1 to NAME_LIMIT printable characters.
        value: a finite number that fits 64 bits, a boolean, or a text of at most TEXT_LIMIT characters.
        time: when it was measured, in nanoseconds since 1970 UTC: the device's own time where it gave one,
            else the time of receipt.
        source: name of the source that yielded it.
        received: when the gateway had the whole payload, in nanoseconds since 1970 UTC.
        unit: as the device or the configuration names it, `°C`; empty if unknown.
        quality: see Quality.
    """

    device: str
    sensor: str
    value: type_of_value
    time: int
    source: str
    received: int
    unit: str = ""
    quality: Quality = Quality.GOOD


def is_name(text: str) -> bool:
    """Whether `text` can name a device or a sensor: printable, not blank, not too long."""
    return 0 < len(text) <= NAME_LIMIT and _is_printable(text)


@functools.lru_cache(maxsize=4096)  # never asked for a long text: a cache of megabytes would be no gain
def _is_printable(text: str) -> bool:
    return text.isprintable() and not text.isspace()
