"""What stands at an MQTT broker of the anomalies of a sensor: on which topic, with which payload, and how Home Assistant finds it.

A topic is PREFIX/GATEWAY/DEVICE/SENSOR. Within a name, what a topic cannot hold (`/`, `+`, `#`, what is not printable) and `%`
are `%` and two hexadecimal digits for each byte of UTF-8, as in a URL; a name that is empty, as of the device of an anomaly of
a whole gateway, is a lone `%`. So no two sensors share a topic.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import msgspec

from gateway.wire import Anomaly

TOPIC_BYTES: Final = 65_535
"""The longest topic that MQTT knows."""

_RESERVED: Final = frozenset("+#/%")


class Names(NamedTuple):
    """Whose anomalies: device and sensor are empty for those of a whole gateway."""

    gateway: str
    device: str
    sensor: str


class Open(msgspec.Struct):
    """An anomaly that is open.

    Attributes:
        offset: of the record that raised it.
        anomaly: as last raised or updated.
        acknowledged: somebody has seen it.
    """

    offset: int
    anomaly: Anomaly
    acknowledged: bool = False


def names(anomaly: Anomaly) -> Names:
    """Whose it is."""
    return Names(anomaly.gateway, anomaly.device, anomaly.sensor)


def level(name: str) -> str:
    """A name as one level of a topic."""
    if not name:
        return "%"
    return "".join(one if one.isprintable() and one not in _RESERVED else _escaped(one) for one in name)


def topic_of(prefix: str, whose: Names) -> str:
    """Where its state stands."""
    return "/".join([prefix, *map(level, whose)])


def availability_topic(prefix: str) -> str:
    """Where it says `online` or, when all that publish there are gone, `offline`."""
    return f"{prefix}/availability"


def state_of(whose: Names, found: Sequence[Open], last: Anomaly) -> bytes:
    """The payload: the anomalies that are open, the gravest and newest first, or that all is well and what was said `last`."""
    ranked = sorted(found, key=lambda one: (one.anomaly.grade != "alarm", -one.anomaly.since))
    first = ranked[0].anomaly if ranked else last
    state: dict[str, Any] = {"state": "problem" if ranked else "ok"}
    if ranked:
        state["grade"] = first.grade
    state |= {"sentence": first.sentence, "time": _time(first.time), **whose._asdict()}
    state["anomalies"] = [
        {
            "id": one.anomaly.id,
            "rule": one.anomaly.rule,
            "grade": one.anomaly.grade,
            "sentence": one.anomaly.sentence,
            "since": _time(one.anomaly.since),
            "time": _time(one.anomaly.time),
            "value": one.anomaly.value,
            "unit": one.anomaly.unit,
            "low": one.anomaly.low,
            "high": one.anomaly.high,
            "score": one.anomaly.score,
            "acknowledged": one.acknowledged,
        }
        for one in ranked
    ]
    return msgspec.json.encode(state)


def discovery_topic(prefix: str, whose: Names) -> str:
    """Where Home Assistant reads of the sensor."""
    return f"{prefix}/binary_sensor/{_id('anomaly', *whose)}/config"


def discovery_of(prefix: str, whose: Names) -> bytes:
    """What Home Assistant reads there: a binary sensor of the class `problem`, in a device of its own for each device."""
    topic = topic_of(prefix, whose)
    device = f"{whose.device} ({whose.gateway})" if whose.device else f"Gateway {whose.gateway}"
    return msgspec.json.encode(
        {
            "name": f"{whose.sensor} anomaly" if whose.sensor else "anomaly",
            "unique_id": _id("anomaly", *whose),
            "device_class": "problem",
            "state_topic": topic,
            "value_template": "{{ 'ON' if value_json.state == 'problem' else 'OFF' }}",
            "json_attributes_topic": topic,
            "availability_topic": availability_topic(prefix),
            "device": {"identifiers": [_id("gateway", whose.gateway, whose.device)], "name": device},
            "origin": {"name": "iot-edge-gateway", "sw_version": version("iot-edge-gateway")},
        }
    )


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


def _id(kind: str, *parts: str) -> str:
    """Letters and digits only, as Home Assistant wants it, and never the same for two."""
    named = "".join(f"{len(part)}:{part}" for part in parts).encode(errors="surrogatepass")
    return f"{kind}_{hashlib.blake2b(named, digest_size=8).hexdigest()}"


def _time(nanoseconds: int) -> str:
    """ISO 8601, to the millisecond; empty beyond the year 9999."""
    try:
        return datetime.fromtimestamp(nanoseconds // 1_000_000 / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return ""
