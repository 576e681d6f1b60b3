"""What decoding costs: the golden captures, over and over."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Final

from figures import Figure, say
from gatewayd import Bench

from devices.decoders import DECODERS, make_decoder
from devices.errors import DecodeError
from devices.source import Origin

CAPTURES: Final = Path(__file__).parents[1] / "unit" / "captures"
SECONDS: Final = 0.3
"""Processor time spent on each capture."""

PASSES: Final = 20
RECEIVED: Final = 1_769_860_800_000_000_000


def decoders(_bench: Bench | None = None) -> list[Figure]:
    """Processor time per reading, of each decoder: all captures of its devices that make readings."""
    say("decoders: golden captures")
    seconds: dict[str, float] = dict.fromkeys(DECODERS, 0.0)
    readings: Counter[str] = Counter()
    for file in sorted(CAPTURES.glob("*.json")):
        capture = json.loads(file.read_text(encoding="utf-8"))
        spec = capture["decoder"]
        kind = spec if isinstance(spec, str) else spec["kind"]
        decode = make_decoder(spec)
        origin = Origin("bench", "", capture.get("device", "dev"), capture.get("sensor", ""), decode)
        payloads = [
            bytes.fromhex(one["hex"]) if "hex" in one else one["text"].encode() for one in capture["payloads"]
        ]
        good = [data for data in payloads if _decodes(data, origin)]
        made = len([reading for data in good for reading in decode(data, origin, RECEIVED)])
        began = time.process_time()
        while time.process_time() < began + SECONDS:
            for _ in range(PASSES):  # the look at the clock costs as much as a short payload
                for data in good:
                    decode(data, origin, RECEIVED)
            readings[kind] += PASSES * made
        seconds[kind] += time.process_time() - began
    if unmeasured := [kind for kind in DECODERS if not readings[kind]]:
        raise AssertionError(f"no capture for {', '.join(unmeasured)}: add one to {CAPTURES}")
    return [
        Figure(f"decoder {kind}, processor time per reading", seconds[kind] / readings[kind] * 1e6, "us")
        for kind in DECODERS
    ]


def _decodes(data: bytes, origin: Origin) -> bool:
    try:
        origin.decode(data, origin, 0)
    except DecodeError:
        return False
    return True
