"""How a port is opened: what a pseudo-terminal shows is read back from one, the rest is heard at the system calls."""

import fcntl
import os
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pty_port import SerialLine
from uart import Uart

from devices.errors import SourceLost, SourceRefused
from devices.serial_port import tty as serial_tty
from devices.serial_port.settings import Port, Rs485
from devices.serial_port.tty import open_tty

TCGETS2 = 0x802C542A
CMSPAR = 0o10000000000


@pytest.fixture
def line(tmp_path: Path) -> Iterator[SerialLine]:
    with SerialLine(tmp_path) as made:
        control(made, on=termios.HUPCL)  # as every driver of a real port begins
        yield made


def control(line: SerialLine, *, on: int = 0) -> int:
    """The control flags of the port, after switching some on."""
    attributes = termios.tcgetattr(line.terminal)
    if on:
        attributes[2] |= on
        termios.tcsetattr(line.terminal, termios.TCSANOW, attributes)
    flags: int = attributes[2]
    return flags


def opened(line: SerialLine, **settings: Any) -> Any:
    return closing(open_tty(Port(str(line.name), **settings)))


def heard(line: SerialLine, **settings: Any) -> list[str]:
    """What a UART hears while it is opened and closed."""
    uart = Uart()
    with uart.listening(), opened(line, **settings):
        pass
    return uart.heard


def test_closing_a_port_leaves_dtr_up_so_that_the_next_opening_restarts_no_board(line: SerialLine) -> None:
    assert control(line) & termios.HUPCL
    with opened(line):
        assert not control(line) & termios.HUPCL
    assert not control(line) & termios.HUPCL


def test_nothing_lowers_a_line_unless_asked_and_hupcl_is_off_before_anything_else(line: SerialLine) -> None:
    assert heard(line) == ["HUPCL off", "+DTR", "+RTS", "drop output"]


def test_a_port_that_is_refused_restarts_no_board_either(line: SerialLine) -> None:
    uart = Uart(rs485=False)
    with uart.listening(), pytest.raises(SourceRefused):
        open_tty(Port(str(line.name), rs485=True))
    assert uart.heard == ["HUPCL off"]


def test_a_reset_that_is_asked_for_lowers_dtr_and_raises_it_again(line: SerialLine) -> None:
    assert heard(line, reset=True) == ["HUPCL off", "+DTR", "+RTS", "-DTR", "+DTR", "drop output"]


def test_lines_are_set_as_wanted(line: SerialLine) -> None:
    assert heard(line, dtr=False, rts=False) == ["HUPCL off", "-DTR", "-RTS", "drop output"]


@pytest.mark.parametrize("settings", [{"dtr": False}, {"rts": False}, {"reset": True}])
def test_a_port_without_the_line_that_is_to_be_lowered_says_so(
    line: SerialLine, settings: dict[str, Any]
) -> None:
    name = "RTS" if "rts" in settings else "DTR"
    with pytest.raises(SourceRefused, match=f"{line.name} has no line {name} that could be lowered"):
        open_tty(Port(str(line.name), **settings))
    with opened(line):  # nothing was left open
        pass


def test_rs485_reaches_the_driver_and_leaves_rts_to_it(line: SerialLine) -> None:
    table = Rs485(
        rts_on_send=False,
        rts_after_send=True,
        delay_before_send_ms=29,
        delay_after_send_ms=100,
        rx_during_tx=True,
    )
    assert heard(line, rs485=table)[1:3] == ["RS-485 send=0 after=1 echo=1 delays=29,100", "+DTR"]
    line.plug_in()
    assert "RS-485 send=1 after=0 echo=0 delays=0,0" in heard(line, rs485=True)
    assert "+RTS" not in heard(line, rs485=True)


def test_a_driver_that_does_not_do_rs485_is_refused_in_one_sentence(line: SerialLine) -> None:
    with pytest.raises(SourceRefused) as caught:  # as a real pseudo-terminal does
        open_tty(Port(str(line.name), rs485=True))
    assert str(caught.value).startswith(
        f"the driver of {line.name} does not do RS-485: leave rs485 out, and use"
    )


@pytest.mark.parametrize(
    ("flow", "cflag", "iflag"),
    [
        ("none", 0, 0),
        ("rtscts", termios.CRTSCTS, 0),
        ("xonxoff", 0, termios.IXON | termios.IXOFF),
    ],
)
def test_flow_control_is_as_configured(line: SerialLine, flow: str, cflag: int, iflag: int) -> None:
    with opened(line, flow=flow):
        attributes = termios.tcgetattr(line.terminal)
        assert attributes[2] & termios.CRTSCTS == cflag
        assert attributes[0] & (termios.IXON | termios.IXOFF) == iflag


@pytest.mark.parametrize("parity", ["none", "even"])
@pytest.mark.parametrize("baud", [9600, 921_600, 250_000, 74_880])
def test_any_baud_rate_is_set_with_any_parity(line: SerialLine, baud: int, parity: str) -> None:
    with opened(line, baud=baud, parity=parity):
        settings = struct.unpack_from("11I", fcntl.ioctl(line.terminal, TCGETS2, bytes(44)))
        assert settings[9:] == (baud, baud)


@pytest.mark.parametrize(
    ("settings", "flags"),
    [
        ({"parity": "none"}, termios.CS8),
        ({"parity": "even", "bytesize": 7}, termios.CS7 | termios.PARENB),
        ({"parity": "odd", "stopbits": 2}, termios.CS8 | termios.PARENB | termios.PARODD | termios.CSTOPB),
        ({"parity": "space", "bytesize": 5}, termios.CS5 | termios.PARENB | CMSPAR),
        ({"parity": "mark", "bytesize": 6}, termios.CS6 | termios.PARENB | termios.PARODD | CMSPAR),
    ],
)
def test_the_shape_of_a_byte_is_as_configured(line: SerialLine, settings: dict[str, Any], flags: int) -> None:
    uart = Uart()  # a pseudo-terminal would answer 8N1 whatever it was told
    with uart.listening(), opened(line, **settings):
        shape = termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB | CMSPAR
        assert uart.control & shape == flags


def test_a_port_that_another_program_has_locked_keeps_the_settings_it_has_there(line: SerialLine) -> None:
    before = termios.tcgetattr(line.terminal)
    fcntl.flock(line.terminal, fcntl.LOCK_EX)
    with pytest.raises(SourceLost, match=f"{line.name} is in use by another program"):
        open_tty(Port(str(line.name), baud=115_200, parity="even"))
    assert termios.tcgetattr(line.terminal) == before


def test_a_real_port_that_the_gateway_has_opened_is_shut_for_programs_that_ask_for_no_lock(
    line: SerialLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_tty, "is_uart", lambda _: True)
    device = Path(line.device)
    device.chmod(0o666)
    program = f"import os; os.getuid() or os.setuid(65534); os.open({line.device!r}, os.O_RDWR)"

    def others() -> str:
        ran = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
        return ran.stderr

    with opened(line):
        assert "Device or resource busy" in others()
    assert not others()


def test_a_port_that_dies_while_it_is_opened_is_lost_and_not_refused(
    line: SerialLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise termios.error(5, os.strerror(5))

    monkeypatch.setattr(termios, "tcsetattr", gone)
    with pytest.raises(SourceLost, match=r"cannot be opened \(Input/output error\)"):
        open_tty(Port(str(line.name)))
