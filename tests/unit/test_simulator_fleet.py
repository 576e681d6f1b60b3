import json
from collections import Counter

import pytest

from devices.decoders import make_decoder
from devices.framing import make_framing
from devices.framing.checksum import CHECKSUMS, make_checksum
from devices.simulator import Settings
from devices.simulator.fleet import BEHIND, Fleet
from devices.simulator.payloads import Form, Format, Payload, named_json
from devices.simulator.plant import NANO, Plant
from devices.simulator.sensors import MODELS
from devices.source import Origin

BEGAN = 1_700_000_000 * NANO
DEVICES = 7


def fleet(form: Form | None = None, **settings: object) -> tuple[Plant, Fleet]:
    table = {"count": DEVICES, "interval": 1.0, **settings}
    plant = Plant("twin", Settings(**table), BEGAN, lambda _: None)  # type: ignore[arg-type]
    form = form or Form(MODELS, "json", named=False, single=False)
    return plant, Fleet(plant, form, NANO, BEGAN)


def test_every_device_speaks_once_an_interval_evenly_spread_and_without_drift() -> None:
    _, some = fleet()

    said = [payload for tenth in range(100) for payload in some.due(BEGAN + (tenth + 1) * NANO // 10, 1000)]

    assert Counter(payload.device for payload in said) == {f"sim-{n}": 10 for n in range(1, DEVICES + 1)}
    assert [payload.due for payload in said] == [BEGAN + int(turn * NANO / DEVICES) for turn in range(70)]


def test_however_often_it_is_asked_it_says_the_same() -> None:
    _, often = fleet(faults_per_hour=360.0)
    _, seldom = fleet(faults_per_hour=360.0)

    said = [
        payload for time in range(BEGAN, BEGAN + 60 * NANO, NANO // 100) for payload in often.due(time, 1000)
    ]
    again = [payload for time in range(BEGAN, BEGAN + 60 * NANO, NANO) for payload in seldom.due(time, 1000)]

    assert said[: len(again)] == again
    assert len(again) == 59 * DEVICES


def test_no_more_is_said_than_is_taken_and_the_rest_comes_later() -> None:
    _, some = fleet()

    assert len(some.due(BEGAN + NANO, 3)) == 3
    assert len(some.due(BEGAN + NANO, 100)) == DEVICES - 3


def test_what_is_late_by_more_than_a_second_is_left_out() -> None:
    _, some = fleet()

    said = some.due(BEGAN + 10 * NANO, 1000)

    assert len(said) == DEVICES
    assert said[0].due >= BEGAN + 10 * NANO - BEHIND


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", ["json", "keyvalue"])
def test_what_devices_say_is_decoded_to_the_readings_of_the_plant(
    kind: Format, *, named: bool, single: bool
) -> None:
    plant, some = fleet(Form(MODELS, kind, named=named, single=single))
    twin = Plant("twin", Settings(count=DEVICES), BEGAN, print)
    decode = make_decoder(kind)

    for payload in some.due(BEGAN + NANO, 1000):
        levels = payload.topic.split("/")
        assert levels[0] == payload.device
        device = "" if named else levels[0]
        sensor = "" if named or not single else levels[1]
        readings = decode(payload.data, Origin("twin", "", device, sensor, decode), 1)
        assert len(readings) == payload.readings == (1 if single else 3)
        number = int(payload.device.removeprefix("sim-")) - 1
        expected = {
            one.model.name: round(one.value_at(payload.due / NANO), one.model.digits)
            for one in twin.devices[number]
        }
        for reading in readings:
            assert reading.device == payload.device
            assert reading.time == payload.due
            assert reading.value == expected[reading.sensor]
    assert plant.touched == {}


def test_a_silent_sensor_is_left_out_of_its_payload_and_a_silent_device_says_nothing() -> None:
    form = Form(MODELS, "json", named=False, single=False)

    assert json.loads(form.payloads("b", [21.0, None, 3.0], 5)[0].data) == {
        "temperature": 21.0,
        "vibration": 3.0,
        "time": 5,
    }
    assert form.payloads("b", [None, None, None], 5) == []
    assert form.payloads("b", [21.0, 40.0, 3.0], 5)[0].readings == 3


@pytest.mark.parametrize("kind", [kind for kind in CHECKSUMS if kind != "nmea"])
def test_a_line_with_a_checksum_passes_the_framing_that_checks_it(kind: str) -> None:
    spec = {"kind": kind, "hex": True}
    form = Form(MODELS, "keyvalue", named=True, single=False, check=make_checksum(spec))
    line = form.payloads("b", [21.0, 40.0, 3.0], 5)[0].data
    framing = make_framing({"kind": "line", "checksum": spec})

    assert framing.push(line + b"\n") == [b"device=b temperature=21.00 humidity=40.0 vibration=3.000 time=5"]
    assert framing.push(line.replace(b"21", b"22") + b"\n") != [line]


@pytest.mark.parametrize("kind", CHECKSUMS)
def test_a_checksum_strips_what_it_sealed(kind: str) -> None:
    check = make_checksum(kind)
    assert check is not None

    assert check.strip(check.seal(b"$t=21")) == b"$t=21"


def test_a_recorded_row_may_have_any_names() -> None:
    data = named_json('b"7/+#', {"t °C": 21.5, "open": True, "state": 'x"y'}, 1_700_000_000 * NANO)
    decode = make_decoder("json")

    readings = decode(data, Origin("twin", "", "other", "", decode), 1)

    assert [(r.device, r.sensor, r.value) for r in readings] == [
        ('b"7/+#', "t °C", 21.5),
        ('b"7/+#', "open", True),
        ('b"7/+#', "state", 'x"y'),
    ]
    assert readings[0].time == 1_700_000_000 * NANO


def test_a_payload_names_its_topic() -> None:
    single = Form(MODELS, "json", named=False, single=True).payloads("b", [21.0, None, 3.0], 5)

    assert single == [
        Payload("b", "b/temperature", b'{"value":21.00,"time":5}', 1, 5),
        Payload("b", "b/vibration", b'{"value":3.000,"time":5}', 1, 5),
    ]
