"""Readings for the tests of detection, and what is said of them."""

import random
import re
from collections.abc import Iterable, Sequence
from typing import Any

from devices.reading import type_of_value
from gateway.detect.bank import Arrival, Bank
from gateway.detect.config import DetectConfig, Rules
from gateway.wire import VERSION, Anomaly, Reading

SECOND = 1_000_000_000
NOON = 1_767_355_200 * SECOND
KEY = b"gw-1/boiler-7"

OFF = Rules(rate=False, stuck=False, silence=False, never_seen=False, spike=False, spike_aggregate=False)
"""No rule but limits."""


def reading(
    value: type_of_value,
    at: float = 0.0,
    *,
    seq: int = 1,
    spool: str = "spool-1",
    device: str = "boiler-7",
    unit: str = "°C",
    flags: tuple[str, ...] = (),
) -> Reading:
    """A reading of the temperature of boiler-7, `at` seconds after noon."""
    time = NOON + round(at * SECOND)
    return Reading(VERSION, "gw-1", spool, seq, "line", device, "temperature", time, time, value, unit, flags)


def series(values: Iterable[type_of_value], interval: float = 1.0) -> list[Reading]:
    """Readings of these values, `interval` seconds apart, numbered from 1."""
    return [reading(value, place * interval, seq=place + 1) for place, value in enumerate(values)]


def keyed(readings: Iterable[Reading], offset: int = 0) -> list[Arrival]:
    """Records of these readings, from this offset on."""
    return [
        Arrival(place, f"{one.gateway}/{one.device}".encode(), one)
        for place, one in enumerate(readings, offset)
    ]


def said_of(readings: Iterable[Reading], config: DetectConfig) -> list[Anomaly]:
    """All that a new bank says of them."""
    return [one.anomaly for one in Bank(config).judge(keyed(readings))]


def noise(count: int, seed: int = 1, mean: float = 21.0, sigma: float = 0.4) -> list[float]:
    generator = random.Random(seed)
    return [generator.gauss(mean, sigma) for _ in range(count)]


def only(**rules: Any) -> DetectConfig:
    """No rule but these."""
    return DetectConfig(rules=(Rules(**rules), OFF))


def numbers(text: str, pattern: str) -> list[float]:
    """The numbers in a sentence, which must read as the pattern does; `#` is a number."""
    found = re.fullmatch(re.escape(pattern).replace(r"\#", r"(-?[\d.]+(?:e[-+]\d+)?)"), text)
    assert found is not None, text
    return [float(number) for number in found.groups()]


def sentences(anomalies: Sequence[Anomaly]) -> list[tuple[str, str]]:
    return [(one.event, one.sentence) for one in anomalies]
