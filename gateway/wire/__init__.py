"""The contract of the topics: what a record of each one looks like, as JSON, versioned by `v`.

Consumers ignore keys they do not know; a change that they could not ignore raises `v`. Times are integers of
nanoseconds since 1970 UTC. A key whose value is the default of its field is left out.

| topic            | key                                                      | value         |
|------------------|----------------------------------------------------------|---------------|
| readings         | `gateway/device` (`device` if device names are global)   | Reading       |
| anomalies        | the same as of its readings                              | Anomaly       |
| anomaly-commands | id of the anomaly                                        | Command       |
| dead-letters     | source                                                   | DeadLetter    |
|                  | the same                                                 | Replayed      |
| gateway-status   | gateway                                                  | GatewayStatus |
"""

from gateway.wire.codec import (
    decode_anomaly,
    decode_command,
    decode_dead_letter,
    decode_gateway_status,
    decode_identity,
    decode_letter_or_mark,
    decode_reading,
    encode_anomaly,
    encode_command,
    encode_dead_letter,
    encode_gateway_status,
    encode_reading,
    encode_replayed,
    flags_of,
    quality_of,
    text_of,
)
from gateway.wire.records import (
    CLOCK_UNSET,
    GATEWAY_NAME,
    RECOVERED,
    VERSION,
    Anomaly,
    Arrival,
    Command,
    DeadLetter,
    GatewayStatus,
    Identity,
    Nanoseconds,
    Reading,
    Replayed,
    Sequence,
    Value,
    WireError,
)

__all__ = [
    "CLOCK_UNSET",
    "GATEWAY_NAME",
    "RECOVERED",
    "VERSION",
    "Anomaly",
    "Arrival",
    "Command",
    "DeadLetter",
    "GatewayStatus",
    "Identity",
    "Nanoseconds",
    "Reading",
    "Replayed",
    "Sequence",
    "Value",
    "WireError",
    "decode_anomaly",
    "decode_command",
    "decode_dead_letter",
    "decode_gateway_status",
    "decode_identity",
    "decode_letter_or_mark",
    "decode_reading",
    "encode_anomaly",
    "encode_command",
    "encode_dead_letter",
    "encode_gateway_status",
    "encode_reading",
    "encode_replayed",
    "flags_of",
    "quality_of",
    "text_of",
]
