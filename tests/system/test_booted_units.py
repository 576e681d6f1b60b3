"""What the units promise, under a real systemd: who may what, what is not started again, instances, and the detector."""

import json
from pathlib import Path

import pytest
from fixtures_mqtt import StartBroker
from mosquitto import password_file
from numbered import Numbers, missing_and_repeated
from service import Service
from waiting import wait_until

from gateway import wire

UNIT = "gateway.service"
DETECT = "gateway-detect.service"
SECOND = "gateway@line-2.service"
SIMULATOR = '[sources.simulator]\nkind = "simulator"\ninterval = 0.1\n'
DENIED = ("EACCES", "EPERM", "EROFS", "EAFNOSUPPORT")


@pytest.mark.parametrize("unit", [UNIT, DETECT])
def test_a_service_can_write_to_its_own_folders_and_do_nothing_else(service: Service, unit: str) -> None:
    folder = f"/var/lib/{unit.removesuffix('.service')}"
    service.configure(SIMULATOR)
    service.machine.write("/etc/gateway/detect.d/50-site.toml", service.topics())
    service.unit(unit, f"ExecStartPre=/opt/gateway/bin/python3 -I {service.bring('confined.py')}")
    service.start(unit)

    found = json.loads(service.machine.run("cat", f"{folder}/probe.json"))
    assert found.pop("own folders") == ["allowed"]
    assert found.pop("of other users") == []
    assert found.pop("temporary files of others") == []
    assert {what: said for what, said in found.items() if said not in DENIED} == {}


def test_credentials_are_read_by_the_service_and_by_nobody_else(
    service: Service, start_broker: StartBroker, tmp_path: Path
) -> None:
    password_file(tmp_path / "passwords", "gw", "correct horse")
    broker = start_broker(f"allow_anonymous false\npassword_file {tmp_path / 'passwords'}\n")
    machine, secret = service.machine, "/etc/gateway/secrets/mqtt-password"
    machine.write(secret, "correct horse\n")
    machine.run("chown", "root:root", secret)
    machine.run("chmod", "600", secret)
    service.configure(
        f"""
[sources.plant]
kind = "mqtt"
broker = "127.0.0.1"
port = {broker.port}
topics = ["plant/#"]
username = "gw"
password_file = "mqtt-password"
"""
    )
    machine.write("/etc/gateway/detect.d/50-site.toml", service.topics())
    service.unit(UNIT, f"LoadCredential=mqtt-password:{secret}")
    service.start()
    service.start(DETECT)
    service.await_source("plant")

    handed = "/run/credentials/gateway.service/mqtt-password"
    assert machine.run("cat", handed) == "correct horse\n"
    with pytest.raises(AssertionError, match="Permission denied"):
        machine.run("cat", handed, user="daemon")
    # The detector has the same user, and is kept from it by systemd.
    inside = (
        "nsenter",
        "-t",
        str(machine.pid(DETECT)),
        "-m",
        "setpriv",
        "--reuid",
        "gateway",
        "--clear-groups",
    )
    with pytest.raises(AssertionError, match="Permission denied"):
        machine.run(*inside, "cat", handed)


def test_a_refused_configuration_fails_visibly_is_not_tried_again_and_runs_once_mended(
    service: Service,
) -> None:
    service.configure(f"{SIMULATOR}count = -3\n")
    said = service.machine.run("systemctl", "start", UNIT, check=False)

    assert "Job for gateway.service failed" in said
    assert failed(service, UNIT) == ("failed", "exit-code", "2", "0")
    (told,) = wait_until(
        lambda: [
            one["MESSAGE"]
            for one in service.machine.journal(f"_SYSTEMD_UNIT={UNIT}", "_TRANSPORT=stdout")
            if service.machine.show(UNIT, "InvocationID") == one.get("_SYSTEMD_INVOCATION_ID")
        ],
        "the reason",
    )
    assert "/etc/gateway/conf.d/50-site.toml" in told
    assert "count" in told
    service.configure(SIMULATOR)
    service.start()
    service.until("simulator", "delivered", 9)


def test_a_second_gateway_under_the_same_id_ends_one_of_them_and_it_is_not_started_again(
    service: Service,
) -> None:
    service.configure(SIMULATOR)
    service.configure(SIMULATOR, path="/etc/gateway/line-2.toml")
    service.start()
    service.until("simulator", "delivered", 9)
    service.start(SECOND)

    units = (UNIT, SECOND)
    wait_until(
        lambda: any(service.machine.show(unit, "ActiveState") == "failed" for unit in units),
        "one of them to end",
    )
    (ended,) = (unit for unit in units if service.machine.show(unit, "ActiveState") == "failed")
    assert failed(service, ended) == ("failed", "exit-code", "3", "0")
    (told,) = service.machine.journal(f"_SYSTEMD_UNIT={ended}", "EVENT=rival")
    assert "give each its own id" in told["PROBLEM"]
    (other,) = set(units) - {ended}
    assert service.machine.show(other, "ActiveState") == "active"
    assert service.restarts(other) == 0


def test_a_second_gateway_of_its_own_runs_apart(service: Service) -> None:
    service.configure(SIMULATOR)
    service.configure(
        SIMULATOR.replace("simulator]", "line-2]"), id_=f"{service.id}-2", path="/etc/gateway/line-2.toml"
    )
    service.start()
    service.start(SECOND)
    service.until("simulator", "delivered", 9)
    second = ("gatewayctl", "status", "--json", "--socket", "/run/gateway@line-2/gatewayd.sock")

    def delivered() -> int:
        status = json.loads(service.machine.run(*second, check=False))
        return int(status["ledger"]["sources"]["line-2"]["readings"]["delivered"])

    wait_until(lambda: delivered() > 9, "readings of the second one")
    service.machine.systemctl("stop", UNIT)
    assert service.machine.show(SECOND, "ActiveState") == "active"
    service.machine.systemctl("stop", SECOND)
    assert {one.gateway for one in service.records()} == {service.id, f"{service.id}-2"}
    assert (service.machine.root / "var/lib/gateway@line-2/spool").is_dir()


def test_the_detector_finds_the_faults_of_a_simulator(service: Service) -> None:
    service.configure(
        """
[sources.simulator]
kind = "simulator"
count = 1
interval = 0.05
faults_per_hour = 1800
faults = ["spike"]
sensors = [{ name = "temperature", digits = 2, signal = [{ kind = "noise", sigma = 0.1 }] }]
"""
    )
    service.machine.write(
        "/etc/gateway/detect.d/50-site.toml",
        f'{service.topics()}\n[[rules]]\nsensor = "temperature"\nlimits = {{ low = -1.0, high = 1.0 }}\n',
    )
    service.start()
    service.machine.systemctl("enable", "--now", DETECT)

    def raised() -> list[wire.Anomaly]:
        events = [
            wire.decode_anomaly(one.value() or b"") for one in service.kafka.read_all(service.anomalies)
        ]
        return [event for event in events if event.event == "raised" and event.rule == "limits"]

    service.until("simulator", "delivered", 90)
    (first, *_) = wait_until(raised, "an anomaly", 30)
    assert (first.gateway, first.device, first.sensor) == (service.id, "sim-1", "temperature")
    assert abs(float(first.value)) > 1
    assert service.machine.show(DETECT, "UnitFileState") == "enabled"
    assert service.restarts(DETECT) == 0
    service.machine.systemctl("disable", "--now", DETECT)
    assert service.machine.show(DETECT, "Result") == "success"


def failed(service: Service, unit: str) -> tuple[str, ...]:
    """How it is, why it ended, with which code, and how often it was started again."""
    return tuple(
        service.machine.show(unit, name) for name in ("ActiveState", "Result", "ExecMainStatus", "NRestarts")
    )


def test_a_reload_applies_what_changed_and_one_that_is_refused_fails_and_changes_nothing(
    service: Service, start_broker: StartBroker
) -> None:
    broker = start_broker("max_queued_messages 0\n")
    plant = f"""
[sources.plant]
kind = "mqtt"
broker = "127.0.0.1"
port = {broker.port}
topics = ["plant/{{device}}/{{sensor}}"]
"""
    service.configure(plant)
    service.start()
    service.await_source("plant")
    run, machine = service.machine.show(UNIT, "InvocationID"), service.machine
    with Numbers(broker, 500) as numbers:
        service.until("plant", "delivered", numbers.sent + 100)
        service.configure(plant + SIMULATOR)
        machine.systemctl("reload", UNIT)
        service.until("simulator", "delivered", 9)
        service.configure(f"{plant}{SIMULATOR}count = -3\n")
        assert "Job for gateway.service failed" in machine.run("systemctl", "reload", UNIT, check=False)
        assert any("count" in reason for reason in service.status()["reasons"])
        service.configure(plant)
        machine.systemctl("reload", UNIT)
        service.until("plant", "delivered", numbers.sent + 100)

    assert [one["name"] for one in service.status()["sources"]] == ["plant"]
    assert (machine.show(UNIT, "InvocationID"), service.restarts()) == (run, 0)
    service.until("plant", "delivered", numbers.sent)
    of_plant = [one for one in service.records() if one.source == "plant"]
    assert missing_and_repeated(of_plant, numbers.sent) == ([], [])
    service.verify()
