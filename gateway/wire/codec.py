"""Records to bytes, and back."""

import functools
import operator
from contextlib import suppress
from typing import TypeVar

import msgspec

import devices.reading
from devices.reading import Quality
from gateway.wire.records import (
    VERSION,
    Anomaly,
    Command,
    DeadLetter,
    GatewayStatus,
    Identity,
    Reading,
    Replayed,
    WireError,
)

T = TypeVar("T", Reading, Identity, Anomaly, Command, DeadLetter, Replayed, GatewayStatus)

_ENCODER = msgspec.json.Encoder()
_READING = msgspec.json.Decoder(Reading)
_IDENTITY = msgspec.json.Decoder(Identity)
_ANOMALY = msgspec.json.Decoder(Anomaly)
_COMMAND = msgspec.json.Decoder(Command)
_DEAD_LETTER = msgspec.json.Decoder(DeadLetter)
_REPLAYED = msgspec.json.Decoder(Replayed)
_GATEWAY_STATUS = msgspec.json.Decoder(GatewayStatus)
_FLAGS = [
    tuple(str(flag.name).lower() for flag in Quality if flag & bits) for bits in range(1 << len(Quality))
]


def encode_reading(reading: devices.reading.Reading, gateway: str, spool: str, seq: int) -> bytes:
    """The value of a record of the readings topic."""
    return _ENCODER.encode(
        Reading(
            VERSION,
            gateway,
            spool,
            seq,
            reading.source,
            reading.device,
            reading.sensor,
            reading.time,
            reading.received,
            reading.value,
            reading.unit,
            _FLAGS[reading.quality],
        )
    )


def encode_anomaly(anomaly: Anomaly) -> bytes:
    """The value of a record of the anomalies topic."""
    return _ENCODER.encode(anomaly)


def encode_command(command: Command) -> bytes:
    """The value of a record of the anomaly-commands topic."""
    return _ENCODER.encode(command)


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """The value of a record of the dead-letters topic."""
    return _ENCODER.encode(letter)


def encode_replayed(mark: Replayed) -> bytes:
    """The value of a record of the dead-letters topic that marks one of them."""
    return _ENCODER.encode(mark)


def encode_gateway_status(status: GatewayStatus) -> bytes:
    """The value of a record of the gateway-status topic."""
    return _ENCODER.encode(status)


def decode_reading(data: bytes) -> Reading:
    """The reading in a record of the readings topic.

    Raises:
        WireError: not such a record, or of a version this program does not know.
    """
    return _decode(_READING, data)


def decode_identity(data: bytes) -> Identity:
    """Which reading a record of the readings topic is, without looking at its value.

    Raises:
        WireError: as decode_reading.
    """
    return _decode(_IDENTITY, data)


def decode_anomaly(data: bytes) -> Anomaly:
    """The anomaly in a record of the anomalies topic.

    Raises:
        WireError: as decode_reading.
    """
    return _decode(_ANOMALY, data)


def decode_command(data: bytes) -> Command:
    """The command in a record of the anomaly-commands topic.

    Raises:
        WireError: as decode_reading.
    """
    return _decode(_COMMAND, data)


def decode_dead_letter(data: bytes) -> DeadLetter:
    """The dead letter in a record of the dead-letters topic.

    Raises:
        WireError: as decode_reading.
    """
    return _decode(_DEAD_LETTER, data)


def decode_letter_or_mark(data: bytes) -> DeadLetter | Replayed:
    """What a record of the dead-letters topic holds: a dead letter, or the mark of one that was replayed.

    Raises:
        WireError: as decode_reading.
    """
    try:
        return _decode(_DEAD_LETTER, data)
    except WireError:
        with suppress(WireError):
            return _decode(_REPLAYED, data)
        raise


def decode_gateway_status(data: bytes) -> GatewayStatus:
    """The status in a record of the gateway-status topic.

    Raises:
        WireError: as decode_reading.
    """
    return _decode(_GATEWAY_STATUS, data)


def _decode(decoder: "msgspec.json.Decoder[T]", data: bytes) -> T:
    try:
        record = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a record of this topic: {error}") from None
    if record.v != VERSION:
        raise WireError(f"version {record.v} of the record format; this program knows version {VERSION}")
    return record


def flags_of(quality: Quality) -> tuple[str, ...]:
    """The flags of a record of this quality."""
    return _FLAGS[quality]


def quality_of(flags: tuple[str, ...]) -> Quality:
    """The quality that has these flags; those that this program does not know are left out."""
    names = {flag.upper() for flag in flags}
    return functools.reduce(operator.or_, (one for one in Quality if one.name in names), Quality.GOOD)


def text_of(payload: bytes) -> str:
    """`payload` for the eye, empty if it is no UTF-8."""
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return ""
