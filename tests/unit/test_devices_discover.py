import argparse
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from machine import Machine

from devices.serial_port.ports import better_name, find_ports
from gateway.cli import discover
from gateway.cli.main import main

FTDI = "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
CLONE = "usb-1a86_USB_Serial-if00-port0"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "root")


def found(machine: Machine) -> list[dict[str, Any]]:
    ports: list[dict[str, Any]] = discover.discover(machine.root)["ports"]
    return ports


def said(machine: Machine, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = discover.show(as_json=False, root=machine.root)
    return code, capsys.readouterr().out


def with_ftdi(machine: Machine) -> Machine:
    machine.usb(
        "ttyUSB0",
        "1-1",
        FTDI,
        idVendor="0403",
        idProduct="6001",
        manufacturer="FTDI",
        product="FT232R USB UART",
        serial="A50285BI",
    )
    return machine


def test_an_adapter_is_told_by_what_it_says_and_configured_by_its_own_name(machine: Machine) -> None:
    [port] = found(with_ftdi(machine))
    assert port["device"] == "/dev/ttyUSB0"
    assert port["port"] == f"/dev/serial/by-id/{FTDI}"
    assert port["what"] == "FTDI FT232R USB UART"
    assert port["driver"] == "ch341-uart"
    assert port["usb"] == {
        "vendor_id": "0403",
        "product_id": "6001",
        "maker": "FTDI",
        "product": "FT232R USB UART",
        "serial": "A50285BI",
        "channel": "00.0",
    }
    assert port["hints"] == []
    assert port["used_by"] == []


def test_two_clones_that_share_one_name_are_configured_by_their_sockets(machine: Machine) -> None:
    paths = [machine.usb(f"ttyUSB{n}", f"1-1.{n}", CLONE) for n in range(2)]
    ports = found(machine)
    assert [port["port"] for port in ports] == paths
    for port in ports:
        assert port["hints"][0].startswith("2 adapters call themselves the same")


def test_a_single_adapter_without_a_serial_number_has_a_warning_with_its_name(machine: Machine) -> None:
    machine.usb("ttyUSB0", "1-1", CLONE)
    [port] = found(machine)
    assert port["port"] == f"/dev/serial/by-id/{CLONE}"
    [hint] = port["hints"]
    assert hint.startswith("it has no serial number: a second one of its kind would have the same name")


def test_two_adapters_with_serial_numbers_of_their_own_keep_their_own_names(machine: Machine) -> None:
    for n in range(2):
        machine.usb(f"ttyUSB{n}", f"1-1.{n}", f"usb-x_{n}-if00-port0", serial=f"A{n}")
    assert [port["port"] for port in found(machine)] == [
        f"/dev/serial/by-id/usb-x_{n}-if00-port0" for n in range(2)
    ]


def test_without_udev_the_name_that_may_change_is_called_so(machine: Machine) -> None:
    path = machine.usb("ttyUSB0", "1-1")
    (machine.root / path[1:]).unlink()
    [port] = found(machine)
    assert port["port"] == "/dev/ttyUSB0"
    assert "is udev running?" in port["hints"][0]


def test_uarts_of_the_board_are_listed_and_those_that_are_not_there_are_not(machine: Machine) -> None:
    machine.uart("ttyAMA10")
    machine.uart("ttyAMA0")
    machine.uart("ttyS3", "serial8250", kind="0")
    machine.write("sys/class/tty/tty1/dev", "4:1")  # a text console
    machine.link("dev/serial0", "dev/ttyAMA0")
    ports = found(machine)
    assert [(port["device"], port["port"], port["driver"]) for port in ports] == [
        ("/dev/ttyAMA0", "/dev/serial0", "uart-pl011"),
        ("/dev/ttyAMA10", "/dev/ttyAMA10", "uart-pl011"),
    ]


@pytest.mark.parametrize("where", ["proc/cmdline", "sys/class/tty/console/active"])
def test_the_console_of_the_kernel_is_named_with_what_to_do(machine: Machine, where: str) -> None:
    machine.uart("ttyAMA0")
    machine.uart("ttyAMA1")
    machine.write(where, "console=ttyAMA0,115200 console=tty1" if "cmdline" in where else "tty1 ttyAMA0")
    first, second = found(machine)
    assert first["used_by"][0]["who"].startswith("the kernel")
    assert "remove `console=ttyAMA0`" in first["used_by"][0]["todo"]
    assert second["used_by"] == []


@pytest.mark.parametrize("how", ["generated", "enabled", "by name", "by descriptor"])
def test_a_login_prompt_is_named_once_with_the_command_that_ends_it(machine: Machine, how: str) -> None:
    machine.uart("ttyAMA0")
    unit = "getty.target.wants/serial-getty@ttyAMA0.service"
    if how == "generated":
        machine.link(f"run/systemd/generator/{unit}", "lib/systemd/system/serial-getty@.service")
    elif how == "enabled":
        machine.link(f"etc/systemd/system/{unit}", "lib/systemd/system/serial-getty@.service")
    elif how == "by name":
        machine.process(312, "agetty", "--keep-baud", "115200,9600", "ttyAMA0", "vt220", seen=False)
    else:
        machine.process(312, "agetty", "--keep-baud", "115200,9600", "-", "vt220", holds="/dev/ttyAMA0")
    [port] = found(machine)
    assert port["used_by"] == [
        {
            "who": "a login prompt (serial-getty@ttyAMA0.service)",
            "todo": "sudo systemctl mask --now serial-getty@ttyAMA0.service",
        }
    ]


def test_a_login_prompt_that_was_masked_is_none(machine: Machine) -> None:
    machine.uart("ttyAMA0")
    unit = "serial-getty@ttyAMA0.service"
    machine.link(f"run/systemd/generator/getty.target.wants/{unit}", "lib/serial-getty@.service")
    (machine.root / "etc/systemd/system").mkdir(parents=True)
    (machine.root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    assert found(machine)[0]["used_by"] == []


def test_who_has_a_port_open_is_named_and_the_gateway_is_known(machine: Machine) -> None:
    with_ftdi(machine)
    machine.process(7, "minicom", holds="/dev/ttyUSB0")
    machine.process(8, "gatewayd", holds="/dev/ttyUSB0")
    machine.process(9, "minicom", holds="/dev/ttyUSB1")
    [port] = found(machine)
    assert port["used_by"] == [
        {
            "who": "minicom, process 7",
            "todo": "end it, for two programs at one port each get a part of the bytes",
        },
        {"who": "gatewayd, process 8: the gateway itself", "todo": ""},
    ]


def test_who_has_locked_a_port_is_known_without_being_root(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    with_ftdi(machine)
    machine.process(8, "gatewayd", seen=False)
    machine.process(9, "picocom", seen=False)
    machine.uart("ttyAMA0")
    machine.lock("ttyUSB0", 8)
    machine.lock("ttyAMA0", 9)
    assert [[claim["who"] for claim in port["used_by"]] for port in found(machine)] == [
        ["picocom, process 9"],
        ["gatewayd, process 8: the gateway itself"],
    ]
    assert "can be seen by root only" in said(machine, capsys)[1]


def test_modem_manager_is_named_with_the_rule_that_keeps_it_off_these_adapters(machine: Machine) -> None:
    with_ftdi(machine)
    assert discover.discover(machine.root)["reach_for_ports"] == []
    machine.process(5, "ModemManager")
    [claim] = discover.discover(machine.root)["reach_for_ports"]
    assert claim["who"].startswith("ModemManager")
    assert 'ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6001", ENV{ID_MM_DEVICE_IGNORE}="1"' in claim["todo"]


@pytest.mark.parametrize("how", ["installed", "running"])
def test_brltty_is_named_where_adapters_vanish_because_of_it(
    machine: Machine, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if how == "installed":
        machine.write("usr/lib/udev/rules.d/85-brltty.rules", "")
    else:
        machine.process(5, "brltty")
    code, text = said(machine, capsys)
    assert code == 1
    assert "sudo apt remove brltty" in text


def test_a_port_that_the_user_may_not_open_says_which_group_to_join(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_ftdi(machine)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open everything
    monkeypatch.setattr("grp.getgrgid", lambda _: argparse.Namespace(gr_name="dialout"))
    assert found(machine)[0]["hints"] == [
        "you may not open it: sudo usermod -aG dialout USER, and log in again (the service is in the group dialout)"
    ]
    (machine.root / "dev/ttyUSB0").chmod(0o600)
    assert "a udev rule has to give it to the group dialout" in found(machine)[0]["hints"][0]


def test_a_port_that_the_systemd_unit_does_not_allow_says_what_to_add(machine: Machine) -> None:
    machine.uart("ttyS0", "serial8250")
    assert found(machine)[0]["hints"] == [
        "the service may not open ports of this name: sudo systemctl edit gateway, [Service] DeviceAllow=/dev/ttyS0 rw"
    ]


def test_the_ports_that_discover_trusts_to_the_unit_are_those_of_the_unit() -> None:
    unit = (Path(__file__).parents[2] / "systemd/gateway.service").read_text()
    assert [line for line in unit.splitlines() if line.startswith("DeviceAllow=")] == [
        f"DeviceAllow=char-{name} rw" for name in discover.ALLOWED_BY_UNIT
    ]


def test_where_there_is_no_port_it_says_what_to_check(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(machine, capsys)
    assert code == 1
    assert text == discover.NONE_FOUND
    assert discover.show(as_json=True, root=machine.root) == 1
    assert json.loads(capsys.readouterr().out)["ports"] == []


def test_a_port_that_dev_does_not_have_is_named(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with_ftdi(machine)
    (machine.root / "dev/ttyUSB0").unlink()
    code, text = said(machine, capsys)
    assert code == 1
    assert "the kernel has ttyUSB0, but /dev has not: a container must be given them" in text


def test_what_a_device_says_never_reaches_the_terminal_unescaped(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.usb("ttyUSB0", "1-1", product="evil\x1b[2Jport", serial="\x1b]0;x\x07")
    _, text = said(machine, capsys)
    assert "evil?[2Jport" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_the_snippets_together_are_a_configuration_that_the_check_accepts(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_ftdi(machine)
    machine.usb("ttyUSB1", "1-2", r'usb-Acme_"x"\x20Port-if00-port0', serial="1")
    machine.uart("ttyAMA0")
    snippets = "".join(port["snippet"] for port in found(machine))
    assert len(tomllib.loads(snippets)["sources"]) == 3
    path = tmp_path / "gateway.toml"
    path.write_text(snippets)
    assert main(["config", "check", str(path)]) == 0
    assert "3 source(s): line-1, line-2, line-3" in capsys.readouterr().out
    _, text = said(machine, capsys)
    assert all(f"    {line}" in text for line in snippets.splitlines())


def test_a_name_that_may_lead_elsewhere_tomorrow_has_a_better_one(machine: Machine) -> None:
    with_ftdi(machine)
    machine.uart("ttyAMA0")
    assert better_name("/dev/ttyUSB0", machine.root) == f"/dev/serial/by-id/{FTDI}"
    assert better_name(f"/dev/serial/by-id/{FTDI}", machine.root) == ""
    assert better_name("/dev/ttyAMA0", machine.root) == ""
    assert better_name("/dev/ttyUSB7", machine.root) == ""
    assert better_name("socket://host:1", machine.root) == ""
    paths = [machine.usb(f"ttyUSB{n}", f"1-3.{n}", CLONE) for n in (1, 2)]
    assert better_name(f"/dev/serial/by-id/{CLONE}", machine.root) in paths
    assert better_name(paths[0], machine.root) == ""


def test_the_check_of_a_configuration_names_the_better_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "devices.serial_port.ports.better_name", lambda port: f"/dev/serial/by-id/{port[-4:]}"
    )
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[sources.line-1]\nkind = "serial"\nport = "/dev/ttyUSB0"\n[sources.s]\nkind = "simulator"\n'
    )
    assert main(["config", "check", str(path)]) == 0
    assert (
        "sources.line-1.port: /dev/ttyUSB0 may lead to another adapter tomorrow; this one is always "
        "/dev/serial/by-id/USB0\n"
    ) in capsys.readouterr().out


def test_this_machine_is_looked_at_without_trouble_and_its_pseudo_terminals_are_no_ports(
    capsys: pytest.CaptureFixture[str],
) -> None:
    here, there = os.openpty()
    try:
        code = main(["devices", "discover", "--json"])
        report = json.loads(capsys.readouterr().out)
        assert code == (0 if report["ports"] else 1)
        assert not any("pts" in port["device"] for port in report["ports"])
        assert [port["device"] for port in report["ports"]] == [port.device for port in find_ports()]
        assert main(["devices", "discover"]) == code
    finally:
        os.close(here)
        os.close(there)
