"""DEAD LETTER -> readings: what the configuration makes of it as it is now."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from devices.errors import DecodeError
from devices.reading import Quality, Reading
from devices.source import DecodingSource, Home
from gateway.clock import Clock
from gateway.config import GatewayConfig
from gateway.intake import DAMAGED, REMEDIES, STRANGER, UNDECODED, flagged, stranger
from gateway.kafka.client import Record
from gateway.letters import Letter
from gateway.records import BY_KAFKA, REFUSED, Records
from gateway.sources import SourceSpec, open_sources
from gateway.wire import VERSION, DeadLetter, Replayed, WireError, decode_reading, quality_of

CUT: Final = "cut"
FOREIGN: Final = "of another gateway"
SOURCELESS: Final = "no such source"
"""Further reasons why nothing can be made of a letter, beside those of an intake: only its beginning was kept; another
gateway's configuration tells what it means; no source of this name has a decoder."""


class Unrecoverable(Exception):
    """Nothing can be made of this letter now. The text says why, and what to do about it.

    Attributes:
        why: one of the constants above, or of an intake.
    """

    def __init__(self, why: str, text: str) -> None:
        super().__init__(text)
        self.why = why


class Made(NamedTuple):
    """What is made of a letter."""

    letter: Letter
    readings: list[Reading]


class Recovery:
    """Makes readings of the dead letters of one gateway. Touches no port and no network."""

    def __init__(self, config: GatewayConfig, path: Path, gateway: str) -> None:
        """`path` is the file of the configuration, for messages; `gateway` the id whose letters they are.

        Raises:
            ConfigError: gatewayd would refuse it.
        """
        specs = open_sources(config, path, Home(gateway))
        self._specs: Mapping[str, SourceSpec] = {spec.source.name: spec for spec in specs}
        self._gateway = gateway
        self._records = Records(config, gateway, Clock(trusted=True))

    def make(self, letter: Letter) -> Made:
        """The readings in a letter, of the time at which it was received; there may be none, on purpose.

        Raises:
            Unrecoverable: see there.
        """
        one = letter.content
        if one.gateway != self._gateway:
            raise Unrecoverable(FOREIGN, f"it is a letter of gateway {one.gateway}: ask there")
        if len(one.payload) < one.size:
            raise Unrecoverable(
                CUT,
                f"only {len(one.payload)} of its {one.size} bytes were kept: it can be looked at, and no more",
            )
        if one.kind == REFUSED or one.reason.startswith(BY_KAFKA):
            return Made(letter, [_refused(one)])
        spec = self._specs.get(one.source)
        if spec is None:
            raise Unrecoverable(SOURCELESS, f"the configuration has no source {one.source!r} any more")
        if not isinstance(spec.source, DecodingSource):
            raise Unrecoverable(
                SOURCELESS, f"source {one.source} has no decoder: its kind makes readings of its own"
            )
        return Made(letter, _decoded(one, spec.source, spec.devices))

    def records(self, made: Made) -> list[Record]:
        """Its readings as records, and the mark that says so, which is the last."""
        letter, readings = made
        one, spool = letter.content, letter.spool
        mark = Replayed(
            VERSION, self._gateway, one.source, str(letter.place), spool, len(readings), time.time_ns()
        )
        records = [self._records.of_reading(reading, spool, seq) for seq, reading in enumerate(readings, 1)]
        return [*records, self._records.of_mark(mark, letter.place.partition)]


def _decoded(one: DeadLetter, source: DecodingSource, allowed: Sequence[str]) -> list[Reading]:
    rejected = one.kind not in (UNDECODED, STRANGER)
    try:
        origin = source.origin(one.place, one.size, rejected=rejected)
    except DecodeError as error:
        raise Unrecoverable(DAMAGED, f"{error}; {REMEDIES[DAMAGED]}") from None
    try:
        readings = origin.decode(one.payload, origin, one.received)
    except DecodeError as error:
        raise Unrecoverable(UNDECODED, f"{error}; {REMEDIES[UNDECODED]}") from None
    if allowed and (problem := stranger(readings, allowed, one.source)):
        raise Unrecoverable(STRANGER, f"{problem}; {REMEDIES[STRANGER]}")
    quality = quality_of(one.flags) | Quality.RECOVERED
    return [flagged(reading, quality) for reading in readings]


def _refused(one: DeadLetter) -> Reading:
    """The reading that Kafka refused: it may take it now."""
    try:
        reading = decode_reading(one.payload)
    except WireError as error:
        raise Unrecoverable(UNDECODED, f"it holds no reading that Kafka refused: {error}") from None
    return Reading(
        reading.device,
        reading.sensor,
        reading.value,
        reading.time,
        reading.source,
        reading.received,
        reading.unit,
        quality_of(reading.flags) | Quality.RECOVERED,
    )
