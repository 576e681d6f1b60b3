"""What no decoder may do, whatever it is given: raise anything but DecodeError, or make what is no reading."""

import importlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from decoding import RECEIVED, assert_reading, outcome, short
from hypothesis import example, given
from hypothesis import strategies as st

from devices import framing
from devices.decoders import DECODERS, common, make_decoder, members, template
from devices.errors import DecodeError
from devices.source import Decode, Origin

EVERY: dict[str, Decode] = {
    "json": make_decoder("json"),
    "keyvalue": make_decoder("keyvalue"),
    "csv": make_decoder({"kind": "csv", "columns": ["time", "device", "t", "", "state"]}),
    "csv by row": make_decoder({"kind": "csv", "columns": ["sensor", "value", "unit"], "delimiter": ";"}),
    "csv of one column": make_decoder({"kind": "csv", "columns": ["t"], "delimiter": "\t"}),
    "csv with a header": make_decoder({"kind": "csv", "header": "t", "columns": ["h", "device"]}),
    "scalar": make_decoder({"kind": "scalar", "sensor": "t", "unit": "K"}),
    "regex": make_decoder({"kind": "regex", "pattern": r"(?P<t>[^,;]*)[,;=](?P<device>\w*)(?P<rest>.*)"}),
    "binary": make_decoder(
        {"kind": "binary", "fields": [{"type": "u8", "name": "t"}, {"type": "f32", "name": "h"}]}
    ),
    "json of places": make_decoder(
        {
            "kind": "json",
            "paths": ["t.*", "a.*.value"],
            "device_key": "device.name",
            "time_zone": "UTC",
            "exclude": ["?"],
        }
    ),
    "template": template.decoder(template.Settings()),
}

names = st.sampled_from(["", "dev", "outside.t", " ", "\x00"])
keys = st.one_of(
    st.sampled_from(["device", "sensor", "value", "unit", "time", "timestamp", "ts", "Time", "t", "", "a.b"]),
    st.text(max_size=8),
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**63 - 2, 2**64 + 1),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from([1.7e9, 1_700_000_000_000, 1e308, "2024-05-01T12:00:00Z", "0001-01-01T00:00:00+23:59"]),
)
documents = st.recursive(
    values, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=5))
)
signs = list('=:,;"#\t\n\r .٣²\x00\ufeff')
words = st.sampled_from(signs) | st.sampled_from(
    [
        "t",
        "device",
        "time",
        "21.5",
        "-3",
        "1e999",
        "nan",
        "inf",
        "°C",
        "%",
        "true",
        "off",
        "m3/h",
        "1e",
        "0x1F",
        "9" * 5000,
        "x" * 300,
    ]
)


def assert_kept(decode: Decode, payload: bytes, device: str = "dev", sensor: str = "") -> None:
    result = outcome(decode, payload, device, sensor)
    if isinstance(result, DecodeError):
        assert 0 < len(str(result)) < 300
        assert str(result).isprintable()
        return
    assert type(result) is list
    for reading in result:
        assert_reading(reading)


@pytest.mark.parametrize("name", EVERY)
@given(payload=st.binary(), device=names, sensor=names)
@example(payload=b"\xed\xa0\x80", device="dev", sensor="")
@example(payload=b'"\\ud800"', device="dev", sensor="s")
@example(payload=b"\xa5\x03\x00\xd7\x28\xa7", device="", sensor="")
def test_any_bytes_give_readings_or_a_decode_error(
    name: str, payload: bytes, device: str, sensor: str
) -> None:
    assert_kept(EVERY[name], payload, device, sensor)


@pytest.mark.parametrize("name", EVERY)
@given(text=st.one_of(st.text(), st.lists(words, max_size=12).map("".join)), device=names, sensor=names)
def test_any_text_gives_readings_or_a_decode_error(name: str, text: str, device: str, sensor: str) -> None:
    assert_kept(EVERY[name], text.encode(), device, sensor)


@given(document=documents, device=names, sensor=names)
def test_any_json_gives_readings_or_a_decode_error(document: Any, device: str, sensor: str) -> None:
    assert_kept(EVERY["json"], json.dumps(document).encode(), device, sensor)


@given(document=documents)
def test_the_same_payload_always_gives_the_same_readings(document: Any) -> None:
    payload = json.dumps(document).encode()
    first, second = (outcome(EVERY["json"], payload, sensor="s") for _ in range(2))

    assert first == second or str(first) == str(second)


@pytest.mark.parametrize("name", EVERY)
def test_a_payload_of_no_sensible_size_is_refused_before_it_is_parsed(name: str) -> None:
    with pytest.raises(DecodeError, match="bytes"):
        EVERY[name](b"1" * 10_000_000, Origin("src", "here", "d", "s", EVERY[name]), RECEIVED)


MARK = "hunter2"
LEAKS = [
    f'{{"a": {MARK}}}',
    f'{{"{MARK}\\u0000": 1}}',
    f'{{"device": "{MARK}\\n", "t": 1}}',
    f'{{"t": "{MARK * 1000}"}}',
    f'{{"t": 1, "unit": "{MARK * 10}"}}',
    f"t=1 {MARK}",
    f"{MARK}=1 {MARK}=2",
    f"{MARK}=nan",
    f'{MARK}="{MARK}',
    f"{MARK},{MARK}",
    f'"{MARK}" {MARK}',
    MARK * 1000,
]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("payload", LEAKS, ids=short)
def test_errors_quote_nothing_of_the_payload(name: str, payload: str) -> None:
    result = outcome(EVERY[name], payload.encode(), sensor="s")

    if isinstance(result, DecodeError):
        assert MARK not in str(result)
        assert result.__context__ is None or result.__suppress_context__


@pytest.mark.parametrize("kind", DECODERS)
def test_settings_are_frozen_and_refuse_unknown_keys(kind: str) -> None:
    module = importlib.import_module(DECODERS[kind])

    assert issubclass(module.Settings, msgspec.Struct)
    assert module.Settings.__struct_config__.frozen
    assert module.Settings.__struct_config__.forbid_unknown_fields


def test_the_documentation_knows_every_decoder_and_the_bounds() -> None:
    text = (Path(__file__).parents[2] / "docs" / "decoders.md").read_text(encoding="utf-8")

    for kind in DECODERS:
        assert f"| `{kind}`" in text
    assert f"{common.PAYLOAD_LIMIT // 1024} KiB or {common.READINGS_LIMIT:,}" in text.replace("\n", " ")
    assert f"nested more than {members.DEPTH_LIMIT} levels" in text
    assert f"unit of more than {common.UNIT_LIMIT}" in text
    assert (f"{framing.MAX_FRAME:,}" in text, framing.KEPT, framing.UNENDING) == (
        True,
        16 * 1024,
        16 * 1024**2,
    )
