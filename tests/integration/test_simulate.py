"""gatewayctl simulate as a person runs it, and what a source of the gateway makes of it: every reading is accounted for."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mosquitto import Mosquitto, free_port
from waiting import until, wait_until

from devices.errors import SourceError
from devices.registry import open_source
from devices.source import Home, Source
from gateway.cli import simulate
from gateway.testing import RecordingIntake

COMMAND = [sys.executable, "-Im", "gateway.cli.main", "simulate"]  # isolated: the installed wheel
TROUBLES = ["--faults", "garbage,torn,split,disconnect,silence", "--faults-per-hour", "3600"]


def listen(
    source: Source, arguments: list[str], *, lasting: bool = False
) -> tuple[RecordingIntake, dict[str, Any], list[dict[str, Any]]]:
    """What a source takes of a simulation from its beginning to its end, with its report and its truths.

    A source that was lost is run again, as the gateway does.
    """
    intake = RecordingIntake()

    async def keep_running() -> None:
        while True:
            try:
                await source.run(intake)
            except SourceError:
                await asyncio.sleep(0.01)

    async def scene() -> bytes:
        task = asyncio.create_task(keep_running())
        if lasting:
            await until(lambda: intake.connections, "the source connects")
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, "--json", "--truth", "-", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        report = json.loads(out.splitlines()[-1])
        await until(lambda: len(intake.taken) >= report["readings"], "the last reading")
        task.cancel()
        await asyncio.wait([task])
        await source.close()
        return out

    lines = [json.loads(line) for line in asyncio.run(scene()).splitlines()]
    return intake, lines[-1], lines[:-1]


def mqtt_source(broker: Mosquitto, topics: list[Any]) -> Source:
    table = {"kind": "mqtt", "broker": "127.0.0.1", "port": broker.port, "topics": topics}
    return open_source("sim", table, Home("pi-7"))


def check_counts(intake: RecordingIntake, report: dict[str, Any], truths: list[dict[str, Any]]) -> None:
    """What the gateway has is what the simulation says it should have."""
    by_kind: dict[str, int] = {}
    for truth in truths:
        by_kind[truth["kind"]] = by_kind.get(truth["kind"], 0) + truth.get("readings", 0)
    assert set(by_kind) == {"garbage", "torn", "split", "disconnect", "silence"}
    assert by_kind["garbage"] + by_kind["torn"] == report["garbled_readings"] > 0
    assert (
        by_kind["disconnect"] + report["faults"]["silence"]["readings"]
        == report["suppressed"]
        > by_kind["disconnect"]
        > 0
    )
    assert len(intake.taken) == report["readings"]
    assert len(intake.rejects) == report["garbled_payloads"]
    assert report["unconfirmed"] == report["left_out"] == report["lost"] == 0
    times = {(r.device, r.sensor, r.time) for r in intake.taken}
    assert len(times) == len(intake.taken), "none of them twice"
    for truth in truths:
        if truth["kind"] == "silence":
            silent = [
                t
                for d, s, t in times
                if (d, s) == (truth["device"], truth["sensor"]) and truth["start"] <= t < truth["end"]
            ]
            assert silent == []


def test_every_reading_over_mqtt_is_where_its_truth_says(broker: Mosquitto) -> None:
    intake, report, truths = listen(
        mqtt_source(broker, ["plant/{device}"]),
        ["--to", f"mqtt://127.0.0.1:{broker.port}/plant", "--rate", "600", "--for", "6.5s", *TROUBLES],
        lasting=True,
    )

    check_counts(intake, report, truths)
    assert report["readings"] + report["garbled_readings"] + report["suppressed"] == 3900
    assert report["repeated"] == 0
    split = next(truth for truth in truths if truth["kind"] == "split")
    assert sum(r.device == split["device"] and r.time == split["start"] for r in intake.taken) == 3


def test_every_reading_over_a_line_is_where_its_truth_says_also_when_the_plug_is_pulled(
    tmp_path: Path,
) -> None:
    link = tmp_path / "usb-line"
    framing = {"kind": "line", "checksum": {"kind": "crc16-modbus", "hex": True}}
    source = open_source("sim", {"kind": "serial", "port": str(link), "framing": framing})

    intake, report, truths = listen(
        source,
        [
            "--to",
            "pty",
            "--link",
            str(link),
            "--checksum",
            "crc16-modbus",
            "--rate",
            "300",
            "--for",
            "6.5s",
            *TROUBLES,
        ],
    )

    check_counts(intake, report, truths)
    assert intake.connections >= 2
    assert not link.is_symlink()


def test_single_readings_have_topics_of_their_own(broker: Mosquitto) -> None:
    intake, report, _ = listen(
        mqtt_source(broker, ["a/b/{device}/{sensor}"]),
        [
            "--to",
            f"mqtt://127.0.0.1:{broker.port}/a/b",
            "--devices",
            "4",
            "--rate",
            "240",
            "--single",
            "--for",
            "0.5s",
        ],
        lasting=True,
    )

    assert report["payloads"] == report["readings"] == len(intake.taken) == 120
    assert {(r.device, r.sensor) for r in intake.taken} == {
        (f"sim-{n}", sensor) for n in range(1, 5) for sensor in ("temperature", "humidity", "vibration")
    }


def test_a_replayed_file_arrives_with_its_recorded_times(broker: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "recorded.csv"
    path.write_text(
        "device,sensor,timestamp,value\n"
        + "".join(f"b/{n},t,{1769860800 + n},{n}\n" for n in range(50))
        + "bad\n"
    )

    intake, report, _ = listen(
        mqtt_source(broker, ["plant/#"]),
        ["--to", f"mqtt://127.0.0.1:{broker.port}/plant", "--replay", str(path), "--speed", "100"],
        lasting=True,
    )

    assert report["rejected"] == 1
    assert [(r.device, r.sensor, r.value, r.time) for r in intake.taken] == [
        (f"b/{n}", "t", n, (1769860800 + n) * 10**9) for n in range(50)
    ]


@contextmanager
def simulating(
    tmp: Path, *arguments: str, folder: Path | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A simulation under way, and the file with what it says."""
    said = tmp / "said"
    with said.open("wb") as stream:
        process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=stream, cwd=folder)
    try:
        yield process, said
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _distinct(intake: RecordingIntake) -> set[tuple[str, str, int]]:
    return {(r.device, r.sensor, r.time) for r in intake.taken}


def test_a_broker_that_restarts_gets_everything_at_least_once_and_that_is_counted(
    broker: Mosquitto, tmp_path: Path
) -> None:
    source = mqtt_source(broker, ["plant/{device}"])
    intake = RecordingIntake()

    async def scene() -> dict[str, Any]:
        async def keep_running() -> None:
            while True:
                try:
                    await source.run(intake)
                except SourceError:
                    await asyncio.sleep(0.01)

        task = asyncio.create_task(keep_running())
        await until(lambda: intake.connections, "the source connects")
        to = f"mqtt://127.0.0.1:{broker.port}/plant"
        with simulating(tmp_path, "--to", to, "--rate", "3000", "--json") as (process, _):
            await until(lambda: len(intake.taken) > 300, "readings")
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            count = len(intake.taken)
            await until(lambda: len(intake.taken) > count + 300, "readings after the restart")
            process.send_signal(signal.SIGINT)
            out, _ = await asyncio.to_thread(process.communicate)
            assert process.returncode == 0
            report: dict[str, Any] = json.loads(out)
            await until(lambda: len(_distinct(intake)) >= report["readings"], "the last reading")
        task.cancel()
        await asyncio.wait([task])
        await source.close()
        return report

    report = asyncio.run(scene())
    assert report["lost"] == 1
    assert report["unconfirmed"] == 0
    assert len(_distinct(intake)) == report["readings"]


def test_without_a_broker_it_says_so_in_plain_words() -> None:
    port = free_port()

    done = subprocess.run(
        [*COMMAND, "--to", f"mqtt://127.0.0.1:{port}/x"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr == (
        f"gatewayctl simulate: no MQTT broker answers at 127.0.0.1:{port}: Connection refused; start one, such as "
        "mosquitto, or name another one with --to\n"
    )


def test_a_broker_that_refuses_says_how_to_give_a_password(start_broker: Any, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", passwords, "sim", "s ecret"], check=True, capture_output=True
    )
    broker = start_broker(f"allow_anonymous false\npassword_file {passwords}")
    to = f"127.0.0.1:{broker.port}/x"

    refused = subprocess.run([*COMMAND, "--to", f"mqtt://{to}"], capture_output=True, text=True, check=False)
    taken = subprocess.run(
        [*COMMAND, "--to", f"mqtt://sim:s%20ecret@{to}", "--for", "0.1s"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 2
    assert "refuses this client: it is not authorised; write mqtt://USER:PASSWORD@HOST" in refused.stderr
    assert taken.returncode == 0, taken.stderr


def test_a_line_that_nobody_reads_is_said_and_ctrl_c_ends_it_in_order(tmp_path: Path) -> None:
    link = tmp_path / "usb-line"
    with simulating(tmp_path, "--to", "pty", "--link", str(link), "--rate", "30000") as (process, said):
        assert f'port = "{link}"; waiting' in wait_until(said.read_text, "its words")
        with link.open("rb"):
            wait_until(lambda: "devices" in said.read_text(), "the beginning")
            process.send_signal(signal.SIGINT)
            process.wait(30)

    assert process.returncode == 1
    assert "payloads were not confirmed by the other side" in said.read_text()
    assert not os.path.lexists(link)


def test_ctrl_c_ends_it_also_while_nobody_has_opened_the_port(tmp_path: Path) -> None:
    link = tmp_path / "usb-line"
    with simulating(tmp_path, "--to", "pty", "--link", str(link)) as (process, said):
        wait_until(said.read_text, "its words")
        process.send_signal(signal.SIGINT)
        process.wait(30)

    assert process.returncode == 0, said.read_text()
    assert not os.path.lexists(link)


def test_more_than_the_machine_can_do_is_said(broker: Mosquitto) -> None:
    to = f"mqtt://127.0.0.1:{broker.port}/x"
    done = subprocess.run(
        [*COMMAND, "--to", to, "--rate", "5000000", "--for", "0.5s"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = re.search(r"could not keep up: reached ([0-9,]+) of 5,000,000 readings/s", done.stderr)
    assert told is not None, done.stderr
    assert 1000 < int(told[1].replace(",", "")) < 4_000_000


LINE = "/tmp/line-1"  # noqa: S108 - the example's
DOCS = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", DOCS, re.DOTALL) for line in block.splitlines()]
EXAMPLES = [line.strip() for line in (simulate.__doc__ or "").split("examples:")[1].strip().splitlines()]


@pytest.mark.parametrize("command", [*COMMANDS, *EXAMPLES])
def test_every_command_of_the_documentation_runs(command: str, start_broker: Any, tmp_path: Path) -> None:
    """For a moment only, and with files and a broker of the test."""
    (tmp_path / "recorded.csv").write_text(
        "timestamp,value\n2026-01-31T12:00:00Z,21.5\n2026-01-31T12:00:01Z,21.6\n"
    )
    shutil.copy(Path(__file__).parents[2] / "config" / "gateway.toml", tmp_path)
    line = tmp_path / "line-1"
    here = command.replace(LINE, str(line)).replace("/etc/gateway/", "")
    if "localhost" in here:
        where = f"127.0.0.1:{start_broker().port}"
        here = here.replace("localhost:1883", where).replace("localhost", where)
    name, verb, *words = re.sub(r" --for \w+", "", here).split()
    assert (name, verb) == ("gatewayctl", "simulate")

    with simulating(tmp_path, *words, "--for", "0.2s", folder=tmp_path) as (process, said):
        if "pty" in words:
            port = wait_until(lambda: re.findall(r'port = "(.*?)"', said.read_text()), "the port")[0]
            with Path(port).open("rb"):
                process.wait(30)
        process.wait(30)

    unread = "pty" in words and "payloads were not confirmed by the other side" in said.read_text()
    assert process.returncode == (1 if unread else 0), said.read_text()
    assert re.search(r"[1-9][0-9]* readings in [1-9][0-9]* payloads", said.read_text()) or "--json" in words
