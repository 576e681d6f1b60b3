from typing import Any

import pytest
from decoding import RECEIVED, decode, named, short

from devices.decoders import make_decoder, template
from devices.errors import DecodeError, SettingError
from devices.source import Origin

ROW = {"kind": "csv", "columns": ["time", "device", "temperature", "", "humidity"]}
BY_SENSOR = {"kind": "csv", "columns": ["sensor", "value", "unit"], "delimiter": ";"}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("sensor_value: 42", {"sensor_value": (42, "")}),
        ("sensor_value:42\r", {"sensor_value": (42, "")}),
        ("t=21.5 h=40", {"t": (21.5, ""), "h": (40, "")}),
        ("temp: 21.5 °C, hum: 40 %", {"temp": (21.5, "°C"), "hum": (40, "%")}),
        ("t=21.5C;h=40%\tp=1013hPa", {"t": (21.5, "C"), "h": (40, "%"), "p": (1013, "hPa")}),
        ("t = 21 h = 40", {"t": (21, ""), "h": (40, "")}),
        ("t: 21 h: 40", {"t": (21, ""), "h": (40, "")}),
        ("flow: 3.2 m3/h a: 9.81 m/s²", {"flow": (3.2, "m3/h"), "a": (9.81, "m/s²")}),
        (
            "a=-1 b=+2 c=.5 d=3. e=1e3 f=-2.5E-3",
            {k: (v, "") for k, v in zip("abcdef", [-1, 2, 0.5, 3.0, 1e3, -2.5e-3], strict=True)},
        ),
        ("a=true b=FALSE c=on d=Off", {"a": (True, ""), "b": (False, ""), "c": ("on", ""), "d": ("Off", "")}),
        ('state="door open, 21 °C" n=3', {"state": ("door open, 21 °C", ""), "n": (3, "")}),
        ('state=""', {"state": ("", "")}),
        ("mac=aa:bb:cc id=0x1F fw=1.2.3", {"mac": ("aa:bb:cc", ""), "id": ("0x1F", ""), "fw": ("1.2.3", "")}),
        ("value: 42 V", {"value": (42, "V")}),
        ("t=1\n# half\nh=2\n", {"t": (1, ""), "h": (2, "")}),
        ("\ufefft=1", {"t": (1, "")}),
        ("# comment t=1", {}),
        ("", {}),
        ("  \r\n", {}),
    ],
)
def test_keyvalue_reads_pairs_with_units_where_they_have_one(payload: str, expected: dict[str, Any]) -> None:
    readings = decode("keyvalue", payload)

    assert {r.sensor: (r.value, r.unit) for r in readings} == expected
    assert [type(r.value) for r in readings] == [type(value) for value, _ in expected.values()]


def test_keyvalue_reads_device_sensor_unit_and_time() -> None:
    [reading] = decode("keyvalue", "device=007 sensor=9 value=21.5 unit=V time=2023-11-14T22:13:20Z")

    assert (reading.device, reading.sensor, reading.value, reading.unit) == ("007", "9", 21.5, "V")
    assert reading.time == 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("21.5", "no `name: value`"),
        ("rature: 21.5 h", None),
        ("t=21,5", "decimal comma"),
        ("t=", "without a value"),
        ("t=1 h=", "without a value"),
        ("t=21.t=21.5", "torn line"),
        ("temp: 21temp: 21.5", "torn line"),
        ("t=1 t=2", "twice"),
        ("t=1\nt=2", "twice"),
        ("state: door open", "double quotes"),
        ('a="x', "missing quote"),
        ("t=nan", "NaN or infinity"),
        ("t=-INF h=40", "NaN or infinity"),
        ("t=1e999", "64 bits"),
        ("t=9223372036854775808", "64 bits"),
        ("t=" + "9" * 5000, "64 bits"),
        ("device=\x07 t=1", "name of a device"),
        ("=1", "no `name: value`"),
        (b"t=21.5\xff", "not UTF-8 text \\(at byte 6\\)"),
    ],
    ids=short,
)
def test_keyvalue_guesses_nothing(payload: str | bytes, message: str | None) -> None:
    if message is None:  # half a word cannot be told from a whole one, and a last word from a unit
        assert named(decode("keyvalue", payload)) == {"rature": 21.5}
        return
    with pytest.raises(DecodeError, match=message):
        decode("keyvalue", payload)


def test_csv_reads_cells_by_column_and_passes_over_the_empty_ones() -> None:
    readings = decode(ROW, "time,device,temperature,x,humidity\r\n1700000000,007, 21.5 ,9,\r\n\r\n,,,,40\r\n")

    assert [(r.device, r.sensor, r.value, r.time) for r in readings] == [
        ("007", "temperature", 21.5, 1_700_000_000 * 10**9),
        ("dev", "humidity", 40, RECEIVED),
    ]


def test_csv_reads_one_sensor_a_row() -> None:
    readings = decode(BY_SENSOR, 'temperature;21.5;°C\nstate;"a;b";\nopen;true;\n')

    assert [(r.sensor, r.value, r.unit) for r in readings] == [
        ("temperature", 21.5, "°C"),
        ("state", "a;b", ""),
        ("open", True, ""),
    ]


@pytest.mark.parametrize("payload", ["", "\n\n", "time,device,temperature,,humidity", ",,,,"])
def test_csv_headers_and_blank_rows_carry_no_reading(payload: str) -> None:
    assert decode(ROW, payload) == []


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("1,2", "a row of 2 cells where there are 5 columns"),
        ("1700000000,a,1,,2\n1,2,3", "a row of 3 cells"),
        (",,1,,2,3", "a row of 6 cells"),
        (",,nan,,", "NaN"),
        (',,"1,,', "quote"),
        (',,"1"x,,', "quote"),
        (",,1\r2,,", "a row of 3 cells"),
        (",," + "9" * 50 + ",,", "64 bits"),
        (b",,\xff,,", "UTF-8"),
        (",,1,,\n" * 10_001, "more than 10000"),
    ],
    ids=short,
)
def test_csv_refuses_a_payload_with_one_bad_row_whole(payload: str | bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode(ROW, payload)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "csv"}, "decoder.columns: names no column; allowed: .* as `header`"),
        ({"kind": "csv", "columns": []}, "columns"),
        ({"kind": "csv", "columns": ["", ""]}, "names no column"),
        ({"kind": "csv", "columns": ["a", "a"]}, "decoder.columns: 'a' is the name of two columns"),
        ({"kind": "csv", "columns": ["a"], "delimiter": ""}, "delimiter"),
        ({"kind": "csv", "columns": ["a"], "delimiter": "ab"}, "delimiter"),
        ({"kind": "csv", "columns": ["a"], "delimiter": '"'}, "delimiter"),
        ({"kind": "csv", "column": ["a"]}, "did you mean `columns`"),
        ({"kind": "json", "depth": 3}, "unknown key"),
        ({"kind": "scalar", "sensor": 3}, "sensor"),
        ("jason", "not a decoder"),
        ({"kind": ["json"]}, "not a decoder"),
    ],
)
def test_wrong_settings_are_refused_by_name(spec: str | dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make_decoder(spec)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ":"])
def test_csv_takes_the_delimiters_people_use(delimiter: str) -> None:
    spec = {"kind": "csv", "columns": ["a", "b"], "delimiter": delimiter}

    assert named(decode(spec, f"1{delimiter}x")) == {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    ("payload", "value", "unit"),
    [
        ("21.5", 21.5, "K"),
        ("21.5\r\n", 21.5, "K"),
        ("21.5 °C", 21.5, "°C"),
        ("40%", 40, "%"),
        ("true", True, ""),
        ("ON", "ON", ""),
        ("5 m s", "5 m s", ""),
        ("2024-05-01", "2024-05-01", ""),
        ("out of order", "out of order", ""),
    ],
)
def test_scalar_reads_a_bare_value(payload: str, value: Any, unit: str) -> None:
    [reading] = decode({"kind": "scalar", "unit": "K"}, payload, sensor="t")

    assert (reading.sensor, reading.value, reading.unit) == ("t", value, unit)
    assert type(reading.value) is type(value)


def test_scalar_takes_its_sensor_from_the_source_else_from_its_setting_else_says_what_to_set() -> None:
    spec = {"kind": "scalar", "sensor": "mine"}

    assert named(decode(spec, "1", sensor="topic")) == {"topic": 1}
    assert named(decode(spec, "1")) == {"mine": 1}
    with pytest.raises(DecodeError, match="nothing names the sensor: set `sensor`"):
        decode("scalar", "1")


@pytest.mark.parametrize("payload", ["", " ", "\r\n"])
def test_scalar_ignores_blank_payloads(payload: str) -> None:
    assert decode("scalar", payload) == []


@pytest.mark.parametrize("payload", ["nan", "-inf", "1e999", "9" * 5000, "x" * 4097], ids=short)
def test_scalar_refuses_what_is_no_value(payload: str) -> None:
    with pytest.raises(DecodeError):
        decode("scalar", payload, sensor="t")


def test_the_template_is_a_working_decoder() -> None:
    decode_probe = template.decoder(template.Settings(offset=0.5))
    named_by_payload = Origin("src", "here", "", "", decode_probe)
    named_by_source = Origin("src", "here", "cellar", "", decode_probe)

    readings = decode_probe(bytes.fromhex("a50300d728a7"), named_by_payload, RECEIVED)
    assert [(r.device, r.sensor, r.value, r.unit) for r in readings] == [
        ("probe-3", "temperature", 22.0, "°C"),
        ("probe-3", "humidity", 40, "%"),
    ]
    assert decode_probe(bytes.fromhex("a5038000ff27"), named_by_source, RECEIVED) == []
    for broken in ("a50300d728", "a40300d728a6", "a50300d728a8"):
        with pytest.raises(DecodeError):
            decode_probe(bytes.fromhex(broken), named_by_source, RECEIVED)
