"""`gatewayctl doctor` as a whole: the fixes that it names mend, where all is well it says so, and it disturbs nothing."""

import json
import os
import socket
import tty
from collections.abc import Sequence
from pathlib import Path

import mosquitto
import pytest
from daemon import Daemon
from doctor_faults import older_daemon, open_secret, settings_of_a_topic
from doctoring import (
    SIMULATOR,
    do_acls,
    do_configs,
    do_shell,
    named,
    open_folder,
    said,
    sasl,
)
from fixtures_doctor import ROOT, Bench, configured, line, plant
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from waiting import wait_until

from gateway.cli.doctor import checks
from gateway.cli.doctor.finding import Finding, Severity
from gateway.cli.doctor.shown import as_json, lines
from gateway.cli.main import main

# The fix that is named, done as it is named.


def test_a_command_that_mends_a_file_mends_it(bench: Bench) -> None:
    say = open_secret(bench)
    do_shell(named(say(), "secret readable by others").fix)

    assert "secret readable by others" not in names(say())


def test_rights_that_are_given_as_said_are_enough_for_the_gateway_itself(bench: Bench) -> None:
    say = configured(bench, "kafka", sasl("gateway") + SIMULATOR, bench.kafka.guarded)
    found = say()
    for one in found:
        if "forbidden" in one.name:
            do_acls(one.fix, bench.kafka.server.bootstrap)
    wait_until(lambda: max(one.severity for one in say()) <= Severity.NOTE, "the rights to be there")

    text = sasl("gateway") + SIMULATOR
    with Daemon(bench.place.folder / "d", bench.kafka.guarded, text) as daemon:
        wait_until(lambda: daemon.status()["kafka"]["last_delivery_age_s"] is not None, "a delivery")


def test_a_topic_is_as_wanted_once_all_that_is_said_is_done(bench: Bench) -> None:
    say = settings_of_a_topic(bench)
    fixes = [one.fix.partition("; ")[0] for one in say() if "--add-config" in one.fix]
    assert len(fixes) == 4
    command = fixes[0].partition(" --add-config ")[0]
    settings = ",".join(fix.partition(" --add-config ")[2] for fix in fixes)
    do_configs(f"{command} --add-config {settings}")  # one start of Java in place of four

    wait_until(lambda: max(one.severity for one in say()) <= Severity.NOTE, "the settings to hold")


def test_a_broker_with_the_lines_that_are_said_is_well(bench: Bench) -> None:
    broker = bench.broker("")
    say = configured(bench, "mqtt", plant(broker.port, 'version = "3.1.1"'))
    for name in ("queue small", "window small"):
        added, _, file = named(say(), name).fix.partition(" in ")
        with Path(file.partition(";")[0].partition(",")[0]).open("a") as config:
            config.write(f"{added}\n")
    broker.stop()
    broker.start()

    assert max(one.severity for one in say()) <= Severity.NOTE


def test_a_daemon_that_was_restarted_is_the_one_installed(bench: Bench) -> None:
    say = older_daemon(bench)
    assert "daemon older than installed" in names(say())
    with Daemon(bench.place.folder / "d2", "127.0.0.1:9", SIMULATOR) as daemon:
        bench.place.config = daemon.config

        assert "daemon older than installed" not in names(say())


def test_of_two_brokers_on_this_machine_each_is_judged_by_its_own_file(bench: Bench) -> None:
    small, sized = bench.broker(""), bench.broker()
    text = plant(small.port) + plant(sized.port).replace("[sources.plant]", "[sources.other]")

    found = [one for one in configured(bench, "mqtt", text)() if one.severity]

    assert [(one.name, one.looked_at.split(",")[0]) for one in found] == [("queue small", "source plant")]


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311])
def test_no_session_is_left_at_a_broker(bench: Bench, version: MQTTProtocolVersion) -> None:
    broker = bench.broker()
    new = version is MQTTProtocolVersion.MQTTv5
    more = "" if new else 'version = "3.1.1"'
    found = configured(bench, "mqtt", plant(broker.port, more))()
    assert max(one.severity for one in found) <= Severity.NOTE
    kept: list[bool] = []
    client = Client(
        CallbackAPIVersion.VERSION2,
        "pi-7:plant:doctor",
        clean_session=None if new else False,
        protocol=version,
    )
    client.on_connect = lambda _client, _data, flags, _code, _properties: kept.append(flags.session_present)
    if new:
        client.connect("127.0.0.1", broker.port, clean_start=False)
    else:
        client.connect("127.0.0.1", broker.port)
    wait_until(lambda: client.loop(0.01) == 0 and kept, "an answer")
    client.disconnect()

    assert kept == [False]


def test_detection_that_nobody_enabled_is_not_judged(bench: Bench) -> None:
    (bench.place.folder / "detect.toml").write_text(
        f'[kafka]\nbootstrap_servers = "127.0.0.1:{mosquitto.free_port()}"\n'
    )
    say = configured(bench, "kafka", SIMULATOR, f"127.0.0.1:{mosquitto.free_port()}")
    judged = [one.looked_at.startswith("gateway-detect") for one in say()]
    bench.place.systemctl(LoadState="loaded", ActiveState="inactive", UnitFileState="disabled", User="root")

    assert judged == [False, True]
    assert [one.looked_at.startswith("gateway-detect") for one in say()] == [False]


# The whole.


def names(found: Sequence[Finding]) -> set[str]:
    return {one.name for one in found}


def test_where_all_is_well_nothing_is_worse_than_a_note_and_the_service_is_not_disturbed(
    bench: Bench,
) -> None:
    there, here = os.openpty()
    tty.setraw(here)
    port = os.ttyname(here)
    os.close(here)
    bench.place.stack.callback(os.close, there)
    broker, folder = bench.broker(), bench.place.folder / "d"
    sources = f"{plant(broker.port)}{line(port)}{SIMULATOR}"
    with Daemon(folder, bench.kafka.server.bootstrap, sources) as daemon:
        wait_until(lambda: all(daemon.state(one) == "connected" for one in ("plant", "line")), "the sources")
        os.write(there, b"t=1\n")
        broker.publish("plant/boiler/t", "1")
        wait_until(lambda: daemon.delivered("plant") and daemon.delivered("line"), "deliveries")
        before = daemon.status()
        bench.place.config = daemon.config
        found = checks.findings(bench.place.here(ROOT))
        after = daemon.status()

    amiss = [one for one in found if one.finding.severity > Severity.NOTE]
    assert not amiss, "\n".join(lines(found, colour=False))
    assert {one.group for one in found} >= {
        "configuration",
        "service",
        "versions",
        "serial",
        "mqtt",
        "kafka",
        "disk",
        "clock",
    }
    connects = [[one["counts"].get("connects") for one in status["sources"]] for status in (before, after)]
    assert connects[0] == connects[1], "a source had to connect again"
    assert after["health"] == "healthy", after["reasons"]
    assert not daemon.events("kafka producer rebuilt")
    assert json.loads(json.dumps(as_json(found, 1.0)))["worst"] in {"ok", "note"}


def test_where_nothing_answers_it_ends_in_time(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    listening = bench.place.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    mute = listening.getsockname()[1]
    stuck = f"{plant(mute)}{plant(mute).replace('plant]', 'plant-2]')}{SIMULATOR}"
    bench.place.configure(stuck, f"127.0.0.1:{mute},127.0.0.1:{mosquitto.free_port()}")

    code = main(["doctor", "--json", "--config", str(bench.place.config)])

    report = json.loads(capsys.readouterr().out)
    assert code == 2
    assert report["took_s"] < 15
    assert {"broker refuses", "kafka refuses", "kafka unreachable"} <= {
        one["name"] for one in report["findings"]
    }


def test_a_refused_configuration_is_the_first_thing_said_and_the_rest_is_looked_at(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.place.configure("nonsense = 1\n")

    assert main(["doctor", "--config", str(bench.place.config)]) == 2
    shown = capsys.readouterr().out
    assert shown.startswith("problem   configuration: gateway.toml: ")
    assert "          fix: correct it" in shown
    assert "not looked at, for want of a configuration: clock, disk, kafka, mqtt, serial" in shown


def test_an_ordinary_user_is_told_what_could_not_be_looked_at_and_how_to_let_it(bench: Bench) -> None:
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    folder = bench.place.stack.enter_context(open_folder())
    bench.place.config = folder / "closed" / "gateway.toml"
    bench.place.config.parent.mkdir(mode=0o700)
    (folder / "state").mkdir(mode=0o700)
    bench.place.configure(SIMULATOR)
    text = bench.place.config.read_text().replace(str(bench.place.folder), str(folder))
    bench.place.config.write_text(text)
    open_config = folder / "gateway.toml"
    open_config.write_text(text)
    os.seteuid(65534)
    bench.place.stack.callback(os.seteuid, 0)

    found = [
        one
        for group in ("configuration", "disk", "serial", "clock")
        for one in said(bench.place.here(ROOT), group)
    ]
    assert named(found, "not permitted").fix == "sudo gatewayctl doctor"
    bench.place.config = open_config
    found = [
        one for group in ("configuration", "disk", "service") for one in said(bench.place.here(ROOT), group)
    ]
    assert named(found, "disk not tried").fix.startswith("sudo gatewayctl doctor")
    assert "check failed" not in names(found)
