import tracemalloc
from typing import Any

import msgspec
import pytest
from decoding import RECEIVED, decode, named, short

from devices.decoders import common
from devices.decoders.times import time_of
from devices.errors import DecodeError

S = 10**9


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"temperature": 21.5, "humidity": 40}', {"temperature": 21.5, "humidity": 40}),
        ('{"on": true, "mode": "eco", "error": null}', {"on": True, "mode": "eco"}),
        ('{"a": {"b": {"c": 1}}, "d": [2, [3, {"e": 4}]]}', {"a.b.c": 1, "d.0": 2, "d.1.0": 3, "d.1.1.e": 4}),
        ("[1, [2], null, true]", {"0": 1, "1.0": 2, "3": True}),
        ('{"value": 21.5}', {"value": 21.5}),
        ('{"t": {"value": 21.5}, "h": {"value": 40, "age": 2}}', {"t": 21.5, "h": 40, "h.age": 2}),
        ('{"device": {"name": "x"}, "time": true, "unit": 3}', {"device.name": "x", "time": True, "unit": 3}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ("{}", {}),
        ("[]", {}),
        ("null", {}),
        ("", {}),
        (" \r\n", {}),
    ],
)
def test_members_are_readings_and_nested_ones_go_on_with_a_dot(
    payload: str, expected: dict[str, Any]
) -> None:
    readings = decode("json", payload)

    assert named(readings) == expected
    assert [type(r.value) for r in readings] == [type(value) for value in expected.values()]
    assert all(
        (r.device, r.time, r.received, r.source) == ("dev", RECEIVED, RECEIVED, "src") for r in readings
    )


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("21.5", {"inlet": 21.5}),
        ('"open"', {"inlet": "open"}),
        ('{"value": 21.5}', {"inlet": 21.5}),
        ('{"t": 21, "h": {"x": 1}}', {"inlet.t": 21, "inlet.h.x": 1}),
        ('{"sensor": "outlet", "value": 21.5, "raw": 7}', {"outlet": 21.5, "outlet.raw": 7}),
        ('[{"t": 1}, 5]', {"inlet.t": 1, "inlet.1": 5}),
    ],
)
def test_a_sensor_of_the_topic_names_or_begins_the_name_unless_the_payload_names_it(
    payload: str, expected: dict[str, Any]
) -> None:
    assert named(decode("json", payload, sensor="inlet")) == expected


def test_a_payload_names_device_sensor_unit_and_time_of_its_value() -> None:
    payload = '{"device": "boiler-7", "sensor": "t", "value": 21.5, "time": 1700000000.25, "unit": "°C"}'

    [reading] = decode("json", payload, device="topic")

    assert (reading.device, reading.sensor, reading.value) == ("boiler-7", "t", 21.5)
    assert (reading.time, reading.received, reading.unit) == (1_700_000_000_250_000_000, RECEIVED, "°C")


def test_an_array_of_objects_is_several_groups_each_with_its_own_names() -> None:
    payload = (
        '[{"sensor": "t", "value": 21, "time": 1700000000}, {"sensor": "t", "value": 22, "time": 1700000001},'
        ' {"device": 7, "h": 40, "p": 1013}]'
    )

    assert [(r.device, r.sensor, r.value, r.time) for r in decode("json", payload)] == [
        ("dev", "t", 21, 1_700_000_000 * S),
        ("dev", "t", 22, 1_700_000_001 * S),
        ("7", "h", 40, RECEIVED),
        ("7", "p", 1013, RECEIVED),
    ]


def test_what_stands_above_holds_below_but_for_units() -> None:
    payload = (
        '{"device": "b7", "ts": 1700000000, "unit": "V", "u": 230, "label": "x",'
        ' "readings": [{"sensor": "t", "value": 21, "unit": "°C"}, {"sensor": "h", "value": 40, "device": "b8"}]}'
    )

    assert [(r.device, r.sensor, r.value, r.unit, r.time) for r in decode("json", payload)] == [
        ("b7", "u", 230, "V", 1_700_000_000 * S),
        ("b7", "label", "x", "", 1_700_000_000 * S),
        ("b7", "t", 21, "°C", 1_700_000_000 * S),
        ("b8", "h", 40, "", 1_700_000_000 * S),
    ]


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (1_700_000_000, 1_700_000_000 * S),
        (1_700_000_000.123, 1_700_000_000_123_000_000),
        (1_700_000_000_123, 1_700_000_000_123_000_000),
        (1_700_000_000_123.5, 1_700_000_000_123_500_000),
        (1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (946_684_800, 946_684_800 * S),
        (946_684_799, None),
        (4_102_444_799, 4_102_444_799 * S),
        (4_102_444_800, None),
        (12_345, None),
        (0, None),
        (-1_700_000_000, None),
        (2**64, None),
        (1e308, None),
        ("2023-11-14T22:13:20Z", 1_700_000_000 * S),
        ("2023-11-14t22:13:20.5z", 1_700_000_000_500_000_000),
        ("2023-11-14T23:13:20.123456789+01:00", 1_700_000_000_123_456_000),
        ("2023-11-14 22:13:20+00:00", 1_700_000_000 * S),
        ("2023-11-14T22:13:20", None),
        ("1970-01-01T00:00:12Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("soon", None),
        ("", None),
        ("2" * 1000, None),
    ],
    ids=short,
)
def test_times_are_told_apart_by_magnitude_and_what_is_no_point_in_time_is_none(
    stamp: float | str, expected: int | None
) -> None:
    assert time_of(stamp) == expected
    [reading] = decode("json", msgspec.json.encode({"time": stamp, "t": 1}))
    assert reading.time == (expected or RECEIVED)


def test_a_huge_array_is_refused_before_its_readings_are_made() -> None:
    payload = b"[[" + b"1," * 120_000 + b"1]]"
    tracemalloc.start()
    with pytest.raises(DecodeError, match="more than 10000 values"):
        decode("json", payload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20_000_000  # the readings would take twice that


def test_an_empty_name_names_nothing() -> None:
    [reading] = decode("json", '{"device": "", "sensor": "", "t": 1}', device="b7", sensor="inlet")

    assert (reading.device, reading.sensor) == ("b7", "inlet.t")


def test_the_first_time_that_is_one_counts() -> None:
    assert decode("json", '{"ts": 1700000000, "t": 1, "time": 1700000009}')[0].time == 1_700_000_000 * S
    assert decode("json", '{"ts": 12, "t": 1, "time": 1700000000}')[0].time == 1_700_000_000 * S


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"21.5", "nothing names the sensor: set `sensor`"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": NaN}', "send null instead"),
        (b'{"a": [1, -Infinity]}', "send null instead"),
        (b'{"a": 1e999}', "not JSON"),
        (b'{"a": 9223372036854775808}', "64 bits"),
        (b'{"a": -9223372036854775809}', "64 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8 text \\(at byte"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b'{"\\u0007": 1}', "name of a sensor"),
        (b'{"": 1}', "nothing names the sensor"),
        (b'{"device": "\\u0007", "a": 1}', "name of a device"),
        (b'{"' + b"k" * 201 + b'": 1}', "1 to 200 printable"),
        (b'{"' + b"k" * 201 + b'": {"a": 1}}', "longer than 200"),
        (b'{"a": "' + b"x" * 4097 + b'"}', "4097 characters"),
        (b'{"a": 1, "unit": "' + b"x" * 41 + b'"}', "unit"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 50_000, "nested"),
        (b"[" * 18 + b"1" + b"]" * 18, "nested more than 16"),
        (b"[" + b"1," * 10_000 + b"1]", "more than 10000 values"),
        (b"[" + b"[1,2,3]," * 4_000 + b"1]", "more than 10000 values"),
        (b'{"a": 1, "b": 9223372036854775808}', "64 bits"),
    ],
    ids=short,
)
def test_what_cannot_be_readings_is_refused_whole_with_the_reason(payload: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode("json", payload)


def test_a_device_that_nothing_names_is_refused_with_what_to_set() -> None:
    with pytest.raises(DecodeError, match="nothing names the device: set `device`"):
        decode("json", '{"t": 1}', device="")


def test_what_just_fits_is_taken() -> None:
    assert len(decode("json", b"[" + b"1," * (common.READINGS_LIMIT - 1) + b"1]")) == common.READINGS_LIMIT
    assert named(decode("json", b"[" * 17 + b"1" + b"]" * 17)) == {".".join("0" * 17): 1}
    assert named(decode("json", b'{"a": 9223372036854775807, "b": "%s"}' % (b"x" * 4096)))["a"] == 2**63 - 1
