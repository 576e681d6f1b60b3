"""Whatever is set and whatever is sent: readings or a DecodeError, of any settings a decoder or a SettingError."""

import json
import struct
from typing import Any

import pytest
from decoding import assert_reading, outcome
from hypothesis import assume, given
from hypothesis import strategies as st

from devices.decoders import DECODERS, make_decoder
from devices.errors import DecodeError, SettingError
from devices.source import Decode

NAMES = ["t", "h", "value", "device", "time", "ts", "sensor", "unit", "a.b", "0", "é", ""]
short_names = st.sampled_from(NAMES)
some = st.one_of(short_names, st.text(max_size=5))
patterns = st.sampled_from(["*", "t", "h*", "?", "[ab]*", "*.t", "[", "[!t]"])
zones = st.sampled_from(
    ["", "UTC", "+02:00", "-23:59", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "x", "../etc"]
)
steps = st.sampled_from(["t", "h", "*", "0", "device", "value", '"a.b"', "time", "ts"])
path = st.lists(steps, min_size=1, max_size=4).map(".".join)
time_keys = st.one_of(some, path, st.tuples(some, some).map(list))
naming = st.fixed_dictionaries(
    {},
    optional={
        "device_key": st.one_of(some, path),
        "sensor_key": some,
        "value_key": some,
        "unit_key": some,
        "time_key": time_keys,
        "time_zone": zones,
        "include": st.lists(patterns, max_size=2),
        "exclude": st.lists(patterns, max_size=2),
        "rename": st.dictionaries(short_names, some, max_size=2),
        "units": st.dictionaries(patterns, st.text(max_size=3), max_size=2),
    },
)
factors = st.one_of(
    st.integers(-(10**18), 10**18), st.floats(width=32), st.sampled_from([0.1, 0.001, 1e-18, 1e18])
)
types = st.sampled_from(
    [f"{sign}{size}" for sign in ("u", "i", "bcd") for size in (8, 16, 24, 32, 48, 64)] + ["f32", "f64"]
)
fields = st.lists(
    st.fixed_dictionaries(
        {"type": types, "name": short_names},
        optional={
            "at": st.integers(-1, 8),
            "endian": st.sampled_from(["big", "little", "big-swapped", "little-swapped"]),
            "bit": st.integers(-1, 63),
            "bits": st.integers(1, 63),
            "scale": factors,
            "offset": factors,
            "unit": st.text(max_size=3),
            "none": st.lists(st.one_of(st.integers(), st.floats(), st.just("nan")), max_size=2),
        },
    ),
    min_size=1,
    max_size=4,
)
expressions = st.sampled_from(
    [
        r"(?P<t>[-+0-9.einaf]*)[ ,;=]*(?P<h>.*)",
        r"(?s)(?P<time>.*?),(?P<device>.*?),(?P<value>.*)",
        r"(?P<x>(a|aa)*)*b|(?P<t>.+)",
        r"(?P<t>\d+)(?P<unit>\D*)|(?P<sensor>\pL+)(?P<value>.*)",
        r"(?P<t>",
        "t",
        r"(?P<t>a)(?=b)",
        r"(?P<t>.{0,900}){900}",
    ]
)
SETTINGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "json": st.builds(lambda base, paths: {**base, "paths": paths}, naming, st.lists(path, max_size=3)),
    "keyvalue": naming,
    "csv": st.builds(
        lambda base, columns, header, delimiter: {
            **base,
            "columns": columns,
            "header": header,
            "delimiter": delimiter,
        },
        naming,
        st.lists(some, max_size=4),
        short_names,
        st.sampled_from([",", ";", "\t", "|", "é", " "]),
    ),
    "scalar": st.builds(lambda sensor, unit: {"sensor": sensor, "unit": unit}, some, st.text(max_size=5)),
    "regex": st.builds(lambda base, pattern: {**base, "pattern": pattern}, naming, expressions),
    "binary": st.builds(
        lambda listed, endian, length: {"fields": listed, "endian": endian, "length": length},
        fields,
        st.sampled_from(["big", "little", "big-swapped", "little-swapped"]),
        st.sampled_from([0, 32, 32]),
    ),
}
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(
        [1_769_860_800, "1769860800.5", "2026-01-31T12:00:00", "2026-10-25T02:30:00", "12:00:00"]
    ),
)
documents = st.recursive(
    values,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(short_names, inner, max_size=5)),
)
words = st.sampled_from(
    [*NAMES, *'=:,;"#\t\n\r |', "21.5", "-3", "1e999", "nan", "°C", "true", "9" * 60, "x" * 300]
) | st.sampled_from(["1769860800", "2026-01-31", "12:00:00", "2026-10-25T02:30:00", "aaaa"])
texts = st.one_of(st.text(max_size=40), st.lists(words, max_size=12).map("".join)).map(str.encode)
numbers = st.lists(st.one_of(st.floats(width=32), st.just(float("nan"))), min_size=1, max_size=4)
frames = st.one_of(
    st.binary(max_size=33),
    st.binary(min_size=32, max_size=32),
    numbers.map(lambda found: struct.pack(">8f", *(found * 8)[:8])),
)
PAYLOADS: dict[str, st.SearchStrategy[bytes]] = {
    "json": st.one_of(documents.map(lambda document: json.dumps(document).encode()), texts),
    "binary": frames,
}


def made(kind: str, settings: dict[str, Any]) -> Decode | SettingError:
    try:
        return make_decoder({"kind": kind, **settings}, "sources.x.decoder")
    except SettingError as error:
        return error


@pytest.mark.parametrize("kind", DECODERS)
@given(data=st.data())
def test_any_settings_and_any_payloads_give_readings_or_a_decode_error(
    kind: str, data: st.DataObject
) -> None:
    decode = made(kind, data.draw(SETTINGS[kind]))
    assume(not isinstance(decode, SettingError))
    assert not isinstance(decode, SettingError)
    sensor = data.draw(st.sampled_from(["", "inlet"]))
    memory: dict[str, Any] = {}

    for payload in data.draw(st.lists(PAYLOADS.get(kind, texts), min_size=1, max_size=4)):
        before = dict(memory)
        result = outcome(decode, payload, sensor=sensor, memory=memory)
        if isinstance(result, DecodeError):
            assert 0 < len(str(result)) < 300
            assert str(result).isprintable()
            assert memory == before
            continue
        for reading in result:
            assert_reading(reading)
        assert outcome(decode, payload, sensor=sensor, memory=before) == result


@given(
    kind=st.sampled_from([*DECODERS, "x"]),
    table=st.dictionaries(
        st.sampled_from(
            [
                "paths",
                "pattern",
                "columns",
                "header",
                "fields",
                "rename",
                "units",
                "time_key",
                "endian",
                "length",
            ]
        ),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), path),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
            ),
        ),
        max_size=4,
    ),
)
def test_any_table_is_a_decoder_or_an_error_that_names_the_setting(kind: str, table: dict[str, Any]) -> None:
    result = made(kind, table)

    if isinstance(result, SettingError):
        assert result.key.startswith("sources.x.decoder")
        assert result.problem
