"""What a record of each topic holds."""

from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from devices.reading import Quality

Nanoseconds = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Value = float | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | bool | str
"""What a record may hold is bounded, so that a foreign record cannot upset a consumer's arithmetic."""

GATEWAY_NAME: Final = r"^[A-Za-z0-9._-]{1,100}\Z"
"""A regular expression: what the id of a gateway may be."""

VERSION: Final = 1

CLOCK_UNSET: Final = str(Quality.CLOCK_UNSET.name).lower()
"""The flag of a reading whose times are those of a clock in doubt."""

RECOVERED: Final = str(Quality.RECOVERED.name).lower()
"""The flag of a reading that was made of a dead letter."""


class WireError(Exception):
    """A record is not what this contract describes. The text says in what."""


class Reading(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A reading as it stands in Kafka.

    Attributes:
        v: version of this contract; always there.
        gateway: id of the gateway that sent it.
        spool: id of the spool it passed through. (gateway, spool, seq) identifies the record for ever.
        seq: place in that spool; rises by at least one from record to record of one spool.
        device, sensor, value, time, source, received, unit: see devices.reading.Reading.
        flags: names of devices.reading.Quality in lower case; empty if there is nothing unusual.
    """

    v: int
    gateway: str
    spool: str
    seq: Sequence
    source: str
    device: str
    sensor: str
    time: Nanoseconds
    received: Nanoseconds
    value: Value
    unit: str = ""
    flags: tuple[str, ...] = ()


class Identity(msgspec.Struct, frozen=True, gc=False):
    """What tells a record of the readings topic from all others, and whose it is: the few keys that counting needs.

    Attributes: as of Reading.
    """

    v: int
    gateway: str
    spool: str
    seq: Sequence
    device: str
    flags: tuple[str, ...] = ()


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payload no decoder could read, or a record that Kafka refuses for good.

    Attributes:
        v: version of this contract; always there.
        gateway: id of the gateway that sent it.
        source: name of the source it came from.
        place: the port or MQTT topic it came from.
        reason: what was wrong, in one sentence.
        received: when the gateway had it, in nanoseconds since 1970 UTC.
        size: how many bytes it had; larger than the payload if only its beginning was kept.
        payload: its bytes (the beginning of them), in base64.
        text: the same bytes for the eye, if they are UTF-8.
        spool, seq: its place in the spool, numbered with the readings; that of the reading if Kafka refused one. Known
            only once it is sent.
        kind: `undecoded`, `unknown device`, `damaged` (rejected before it came to a decoder) or `refused` (a reading, by
            Kafka). Empty: sent by an earlier version, which did not say.
        flags: as of Reading, of what would have been its readings.
    """

    v: int
    gateway: str
    source: str
    place: str
    reason: str
    received: Nanoseconds
    size: int
    payload: bytes
    text: str = ""
    spool: str = ""
    seq: Sequence = 0
    kind: str = ""
    flags: tuple[str, ...] = ()


class Replayed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The mark of a dead letter that was replayed: its readings were written in the same transaction.

    It lies in the partition of its letter, behind it, so that retention never takes it away before the letter.

    Attributes:
        v: version of this contract; always there.
        gateway, source: of the letter.
        replayed: partition and offset of the letter, with a colon between them.
        spool: what its readings have there; they are numbered from 1.
        readings: how many they are.
        time: when it was replayed, in nanoseconds since 1970 UTC.
    """

    v: int
    gateway: str
    source: str
    replayed: str
    spool: str
    readings: Sequence
    time: Nanoseconds


class Anomaly(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of one anomaly: it is raised once, may be updated, and is cleared once, under the same id.

    What people say of it (see Command) makes events too: `acknowledged`, `fault`, and `accepted` of one that was cleared
    before, or that its rule cannot learn (a limit); any other one is cleared when it is accepted.

    Attributes:
        v: version of this contract; always there.
        id: names the anomaly: a hash of rule, gateway, device, sensor and the first reading that showed it; of one that
            went on after it was accepted, and is raised again, a hash of its id in place of the rule.
        event: what happened to it.
        rule: the detector, such as `limits`.
        grade: `alarm` wakes somebody up, `advisory` is read in the morning.
        gateway, device, sensor: whose anomaly it is.
        value: the reading behind this event.
        low, high: the expected range; None where that side has none.
        score: how far outside, in the unit of the rule (see docs/detection.md).
        sentence: the whole story in one true sentence with its numbers.
        since: time of the first reading that showed it, in nanoseconds since 1970 UTC.
        time: time of the reading behind this event, likewise.
        spool, seq: identity of that reading.
        unit: of value, low and high.
        flags: of that reading.
        first_spool, first_seq: identity of the first reading that showed it.
        storm: id of the storm of anomalies of its gateway in which it was raised, if any.
        by: who said so, of an event that a Command made.
    """

    v: int
    id: str
    event: Literal["raised", "updated", "acknowledged", "accepted", "fault", "cleared"]
    rule: str
    grade: Literal["alarm", "advisory"]
    gateway: str
    device: str
    sensor: str
    value: Value
    sentence: str
    since: Nanoseconds
    time: Nanoseconds
    spool: str
    seq: Sequence
    low: float | None = None
    high: float | None = None
    score: float = 0.0
    unit: str = ""
    flags: tuple[str, ...] = ()
    first_spool: str = ""
    first_seq: Sequence = 0
    storm: str = ""
    by: str = ""


class GatewayStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a gateway is. Written every `every_s` seconds at least while it reaches Kafka, and once more at an orderly stop.

    Attributes:
        v: version of this contract; always there.
        gateway: its id.
        version: of its program.
        time: when this was made, by its clock, in nanoseconds since 1970 UTC.
        state: `stopped` in the last one before an orderly end.
        health: as `gatewayctl status` has it.
        delivered_until: all readings that it received before this time (their `received`) are in Kafka before this record,
            but those that are made later of dead letters.
        every_s: seconds until the next one, at most.
        reasons: for its health, the first few.
        clock_unset: its clock was not known to be right, so neither are the times.
    """

    v: int
    gateway: Annotated[str, msgspec.Meta(pattern=GATEWAY_NAME)]
    version: str
    time: Nanoseconds
    state: Literal["running", "stopped"]
    health: Literal["healthy", "degraded", "down"]
    delivered_until: Nanoseconds
    every_s: float
    reasons: tuple[str, ...] = ()
    clock_unset: bool = False


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person says about an anomaly.

    Attributes:
        v: version of this contract; always there.
        id: of the anomaly.
        verb: `ack`: seen; `accept`: this is the new normal; `fault`: a real fault, forget what it taught.
        by: who says so.
        time: when, in nanoseconds since 1970 UTC.
    """

    v: int
    id: str
    verb: Literal["ack", "accept", "fault"]
    by: str
    time: Nanoseconds


class Arrival(NamedTuple):
    """A record of the readings topic, decoded.

    Attributes:
        offset: in its partition.
        key: names the device, and goes on to its anomalies.
        reading: its value.
    """

    offset: int
    key: bytes | None
    reading: Reading
