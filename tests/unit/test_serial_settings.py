from typing import Any

import pytest

from devices.errors import SettingError
from devices.registry import open_source
from devices.source import Home

PATH = "/dev/serial/by-id/usb-1a86_USB2.0-Serial-if00-port0"


def refusal(**settings: Any) -> SettingError:
    with pytest.raises(SettingError) as caught:
        open_source("line-1", {"kind": "serial", "port": PATH} | settings, Home("pi-7"))
    return caught.value


@pytest.mark.parametrize(
    "port",
    [PATH, "/dev/ttyUSB0", "socket://192.168.1.20:4001", "socket://moxa.lan:65535/", "socket://[::1]:7"],
)
def test_paths_and_serial_servers_are_ports_and_need_not_be_there(port: str) -> None:
    assert open_source("line-1", {"kind": "serial", "port": port}, Home("pi-7")).name == "line-1"


@pytest.mark.parametrize("scheme", ["loop", "rfc2217", "spy", "alt", "hwgrep", "cp2110", "http", "SOCKET"])
def test_other_schemes_are_refused_by_name_with_what_is_allowed(scheme: str) -> None:
    error = refusal(port=f"{scheme}://host:1")
    assert error.key == "sources.line-1.port"
    assert f"{scheme}:// has no file descriptor" in error.problem
    assert "allowed: a path such as /dev/serial/by-id/" in error.problem
    assert "socket://HOST:PORT" in error.problem


@pytest.mark.parametrize(
    "port",
    [
        "socket://",
        "socket://host",
        "socket://:4001",
        "socket://host:0",
        "socket://host:65536",
        "socket://host:x",
        "socket://host:4001/?logging=debug",
        "socket://user@host:4001",
    ],
)
def test_an_address_that_is_none_is_refused(port: str) -> None:
    error = refusal(port=port)
    assert error.problem.startswith(repr(port))
    assert "socket://HOST:PORT" in error.problem


@pytest.mark.parametrize("port", ["", "ttyUSB0", "COM3", "./line", "/dev/tty\0USB0", "/dev/ttyUSB0\n"])
def test_what_is_no_absolute_path_is_refused(port: str) -> None:
    assert "is no absolute path; allowed:" in refusal(port=port).problem


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"device": "boiler\n7"}, "device"),
        ({"sensor": " "}, "sensor"),
        ({"decoder": "xml"}, "decoder.kind"),
        ({"baud": 0}, "baud"),
        ({"baud": "9600"}, "baud"),
        ({"parity": "E"}, "parity"),
        ({"bytesize": 9}, "bytesize"),
        ({"stopbits": 3}, "stopbits"),
        ({"max_frame": 0}, "max_frame"),
        ({"baudrate": 9600}, "baudrate"),
        ({"flow": "hardware"}, "flow"),
        ({"dtr": "on"}, "dtr"),
        ({"rs485": {"delay_before_send_ms": 101}}, "rs485.delay_before_send_ms"),
        ({"rs485": {"rts": True}}, "rs485.rts"),
        ({"rs485": True, "flow": "rtscts"}, "rs485"),
        ({"rs485": True, "rts": False}, "rts"),
        ({"flow": "rtscts", "rts": False}, "rts"),
        ({"reset": True, "dtr": False}, "reset"),
        ({"startup": "go\n"}, "startup"),
        ({"startup": ["ok", ""]}, "startup.1"),
        ({"startup": [{}]}, "startup.0"),
        ({"startup": [{"wait": 61}]}, "startup.0.wait"),
        ({"startup": [{"text": "go"}]}, "startup.0.text"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(settings: dict[str, Any], key: str) -> None:
    assert refusal(**settings).key == f"sources.line-1.{key}"


def test_a_missing_port_setting_is_named() -> None:
    with pytest.raises(SettingError, match=r"sources\.line-1\.port: is required"):
        open_source("line-1", {"kind": "serial"}, Home("pi-7"))


def test_a_command_that_is_no_hex_is_refused_without_showing_what_may_be_a_password() -> None:
    error = refusal(startup=["hello\n", {"hex": "5ec4e7 letmein"}])
    assert str(error) == (
        'sources.line-1.startup.1.hex: is not allowed: bytes are written in hex, such as "0d 0a" for CR LF'
    )


def test_settings_of_all_kinds_of_line_are_taken_together() -> None:
    table = {"rts_on_send": False, "delay_after_send_ms": 3}
    startup = ["go\r\n", {"hex": "aa 55"}, {"wait": 1.5}]
    source = {"kind": "serial", "port": PATH, "rs485": table, "flow": "xonxoff", "reset": True}
    assert open_source("line-1", source | {"startup": startup}, Home("pi-7")).name == "line-1"
