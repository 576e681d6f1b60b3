import json
from pathlib import Path
from typing import Any

import pytest
from decoding import RECEIVED, decode

from devices.errors import DecodeError

FILES = sorted((Path(__file__).parent / "captures").glob("*.json"))
CASES = [
    pytest.param(capture, payload, id=f"{file.stem}-{number}")
    for file in FILES
    for capture in [json.loads(file.read_text(encoding="utf-8"))]
    for number, payload in enumerate(capture["payloads"])
]


@pytest.mark.parametrize(("capture", "payload"), CASES)
def test_what_devices_send_becomes_the_readings_written_beside_it(
    capture: dict[str, Any], payload: dict[str, Any]
) -> None:
    origin = {key: capture[key] for key in ("device", "sensor") if key in capture}
    if "error" in payload:
        with pytest.raises(DecodeError, match=payload["error"]):
            decode(capture["decoder"], payload["text"], **origin)
        return

    readings = decode(capture["decoder"], payload["text"], **origin)

    assert [
        [r.device, r.sensor, r.value, r.unit, None if r.time == RECEIVED else r.time] for r in readings
    ] == (payload["readings"])
    assert [type(r.value) for r in readings] == [type(expected[2]) for expected in payload["readings"]]


def test_there_are_captures() -> None:
    assert len(FILES) >= 6
