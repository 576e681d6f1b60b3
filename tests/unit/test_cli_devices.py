"""`gatewayctl devices`, asking a control socket over the real verbs; and the counts in `gatewayctl status`."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from heard import Hall

from devices.reading import NAME_LIMIT
from gateway import presence
from gateway.cli import main, status
from gateway.control import RESPONSE_LIMIT
from gateway.control_server import ControlServer, Verb
from gateway.device_verbs import device_page, forget_device


def gatewayctl(hall: Hall, path: Path, *words: str) -> int:
    """Exit code of the command, asking a daemon that knows these devices."""

    async def scene() -> int:
        server = ControlServer(
            path / "sock",
            {
                "devices": Verb("everybody", lambda asked: device_page(hall.presence, asked, hall.now)),
                "forget device": Verb("members", lambda asked: forget_device(hall.presence, asked)),
            },
        )
        await server.start()
        try:
            command = ["devices", *words, "--socket", str(path / "sock")]
            return await asyncio.to_thread(main.main, command)
        finally:
            await server.close()

    return asyncio.run(scene())


@pytest.fixture
def hall() -> Hall:
    hall = Hall(devices=["press-1", "*"])
    hall.wait(600, ("plant", "boiler-7"), ("plant", "pump"), every=30)
    hall.wait(600, ("plant", "pump"), every=30)
    return hall


def test_the_list_shows_each_device_with_what_is_usual_and_its_state(
    hall: Hall, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gatewayctl(hall, tmp_path, "list") == 0

    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["DEVICE", "SOURCE", "STATE", "LAST", "HEARD", "USUALLY"],
        ["boiler-7", "plant", "silent", "10", "min", "ago", "every", "30", "s"],
        ["press-1", "plant", "missing", "never"],
        ["pump", "plant", "regular", "0.0", "s", "ago", "every", "30", "s"],
    ]


def test_the_list_as_json_holds_all_pages(
    hall: Hall, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "PAGE", 2)
    assert gatewayctl(hall, tmp_path, "list", "--json") == 0

    devices = json.loads(capsys.readouterr().out)["devices"]
    assert devices[0] == {
        "source": "plant",
        "device": "boiler-7",
        "state": "silent",
        "last_heard_age_s": 600.0,
        "usual_interval_s": 30.0,
    }
    assert [one["device"] for one in devices] == ["boiler-7", "press-1", "pump"]


def test_a_page_of_the_longest_names_fits_into_an_answer() -> None:
    hall = Hall()
    hall.hear(*[("plant", f"{n:04}" + "\U0001f600" * (NAME_LIMIT - 4)) for n in range(presence.PAGE + 1)])
    answer = device_page(hall.presence, {}, hall.now)

    assert (len(answer["devices"]), answer["more"]) == (presence.PAGE, True)
    assert len(json.dumps(answer)) < RESPONSE_LIMIT


def test_a_device_can_be_forgotten_and_an_unknown_one_is_told(
    hall: Hall, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gatewayctl(hall, tmp_path, "forget", "boiler-7") == 0
    assert capsys.readouterr().out == "forgotten: boiler-7 of plant\n"
    assert "boiler-7" not in str(hall.reasons())

    assert gatewayctl(hall, tmp_path, "forget", "pump", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"device": "pump", "sources": ["plant"]}

    assert gatewayctl(hall, tmp_path, "forget", "boiler-7", "--source", "yard") == 1
    assert "there is no device boiler-7 of source yard" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["list"], ["forget", "boiler-7"]])
def test_nobody_there_is_exit_code_2(words: Sequence[str], tmp_path: Path) -> None:
    assert main.main(["devices", *words, "--socket", str(tmp_path / "nobody")]) == 2


@pytest.mark.parametrize("request_", [{"after": "x"}, {"after": ["a"]}, {"after": [1, 2]}])
def test_a_request_that_is_none_is_told_what_it_takes(request_: dict[str, object]) -> None:
    assert "two texts" in device_page(Hall().presence, request_, time.monotonic())["error"]
    assert "texts" in forget_device(Hall().presence, request_)["error"]


def test_the_quick_path_imports_nothing_slow() -> None:
    code = "import sys, gateway.cli.main, gateway.cli.device_list, gateway.cli.device_forget; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert not {"asyncio", "msgspec", "structlog", "confluent_kafka", "paho", "rich"} & set(loaded.split())


def test_the_status_shows_the_counts_that_tell_of_trouble_and_no_others() -> None:
    sources = [
        {
            "name": "good",
            "counts": {"bytes": 10, "frames": 2, "resyncs": 0, "connects": 1},
            "dead_letters": 0,
        },
        {"name": "bad", "counts": {"frames": 2, "checksum_errors": 3, "connects": 4}, "dead_letters": 1},
    ]
    assert list(status._quality(sources)) == [
        "  bad: checksum errors 3, reconnects 3, dead letters 1",
    ]
    assert list(status._quality(sources[:1])) == []
