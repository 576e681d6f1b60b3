import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.reading import Quality, type_of_value
from devices.reading import Reading as DeviceReading
from gateway import wire

values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=50),
)


@given(value=values, seq=st.integers(0, 2**62), bits=st.integers(0, 63), unit=st.text(max_size=5))
def test_a_reading_survives_the_way_to_kafka_and_back(
    value: type_of_value, seq: int, bits: int, unit: str
) -> None:
    reading = DeviceReading("boiler-7", "temperature", value, 123, "line", 456, unit, Quality(bits))

    record = wire.decode_reading(wire.encode_reading(reading, "pi-7", "a1", seq))

    assert (record.gateway, record.spool, record.seq) == ("pi-7", "a1", seq)
    assert (record.device, record.sensor, record.time, record.received, record.unit) == (
        "boiler-7",
        "temperature",
        123,
        456,
        unit,
    )
    assert record.value == value
    assert type(record.value) is type(value)
    assert record.flags == tuple(str(flag.name).lower() for flag in Quality if flag & bits)


def test_a_reading_is_plain_json_for_consumers_without_this_package() -> None:
    reading = DeviceReading("boiler-7", "temperature", 21.5, 1, "line", 2, "°C", Quality.SIMULATED)

    assert json.loads(wire.encode_reading(reading, "pi-7", "a1", 9)) == {
        "v": 1,
        "gateway": "pi-7",
        "spool": "a1",
        "seq": 9,
        "source": "line",
        "device": "boiler-7",
        "sensor": "temperature",
        "time": 1,
        "received": 2,
        "value": 21.5,
        "unit": "°C",
        "flags": ["simulated"],
    }


def test_a_dead_letter_keeps_every_byte_and_shows_text_where_it_is_text() -> None:
    payload = bytes(range(256))
    letter = wire.DeadLetter(1, "pi-7", "line", "/dev/x", "no UTF-8", 5, 256, payload, wire.text_of(payload))

    encoded = wire.encode_dead_letter(letter)

    assert wire.decode_dead_letter(encoded).payload == payload
    assert base64.b64decode(json.loads(encoded)["payload"]) == payload
    assert wire.text_of(b"t=21.5") == "t=21.5"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"v":1}', b"\xff\xfe", b"null", b'{"x":' + b"[" * 20_000]
)
def test_what_is_not_a_record_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(wire.WireError, match="not a record of this topic"):
        wire.decode_reading(data)


def test_a_record_of_a_later_version_is_told_apart_from_garbage() -> None:
    reading = wire.Reading(2, "g", "s", 1, "src", "d", "t", 0, 0, 1.0)

    with pytest.raises(wire.WireError, match="version 2"):
        wire.decode_reading(msgspec.json.encode(reading))


@pytest.mark.parametrize("key", ["time", "received", "seq", "value"])
def test_a_number_beyond_64_bits_in_a_foreign_record_is_no_reading(key: str) -> None:
    record = json.loads(msgspec.json.encode(wire.Reading(1, "g", "s", 1, "src", "d", "t", 0, 0, 1.0)))

    with pytest.raises(wire.WireError, match="not a record of this topic"):
        wire.decode_reading(json.dumps({**record, key: 10**318}).encode())


@given(bits=st.integers(0, 63))
def test_a_quality_survives_the_way_to_flags_and_back(bits: int) -> None:
    assert wire.quality_of((*wire.flags_of(Quality(bits)), "of a later version")) == Quality(bits)


def test_a_mark_is_told_from_a_dead_letter_and_both_from_other_records() -> None:
    mark = wire.Replayed(1, "pi-7", "line", "0:7", "a1-7", 2, 5)
    letter = wire.DeadLetter(1, "pi-7", "line", "/dev/x", "no UTF-8", 5, 1, b"x")

    assert wire.decode_letter_or_mark(wire.encode_replayed(mark)) == mark
    assert wire.decode_letter_or_mark(wire.encode_dead_letter(letter)) == letter
    for other in (b"{}", b"\xff", wire.encode_replayed(msgspec.structs.replace(mark, v=2))):
        with pytest.raises(wire.WireError):
            wire.decode_letter_or_mark(other)
    with pytest.raises(wire.WireError):
        wire.decode_dead_letter(wire.encode_replayed(mark))
