import json
from pathlib import Path
from typing import Any

import pytest
from decoding import RECEIVED

from devices.decoders import DECODERS, make_decoder
from devices.errors import DecodeError
from devices.reading import Reading
from devices.source import Origin

FILES = sorted((Path(__file__).parent / "captures").glob("*.json"))
CAPTURES = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in FILES}


def bytes_of(payload: dict[str, Any]) -> bytes:
    return bytes.fromhex(payload["hex"]) if "hex" in payload else str(payload["text"]).encode()


def shown(readings: list[Reading]) -> list[list[Any]]:
    return [[r.device, r.sensor, r.value, r.unit, None if r.time == RECEIVED else r.time] for r in readings]


@pytest.mark.parametrize("name", CAPTURES)
def test_what_a_device_sends_becomes_the_readings_written_beside_it(name: str) -> None:
    capture = CAPTURES[name]
    decode = make_decoder(capture["decoder"])
    origin = Origin("src", "here", capture.get("device", "dev"), capture.get("sensor", ""), decode)

    for number, payload in enumerate(capture["payloads"]):
        if "error" in payload:
            with pytest.raises(DecodeError, match=payload["error"]):
                decode(bytes_of(payload), origin, RECEIVED)
            continue
        readings = decode(bytes_of(payload), origin, RECEIVED)
        assert shown(readings) == payload["readings"], f"payload {number}"
        assert [type(r.value) for r in readings] == [type(one[2]) for one in payload["readings"]]


def test_there_are_captures_for_every_decoder() -> None:
    kinds = [
        decoder if isinstance(decoder, str) else decoder["kind"]
        for decoder in (capture["decoder"] for capture in CAPTURES.values())
    ]

    assert set(kinds) == set(DECODERS)
