"""The configuration of a mosquitto on this machine: the only place that knows its queue."""

import contextlib
from pathlib import Path
from typing import Final, NamedTuple

from devices.serial_port.claims import running
from gateway.cli.doctor.machine import Machine, read_text

USUAL: Final = "/etc/mosquitto/mosquitto.conf"
LOCAL: Final = ("localhost", "127.", "::1")

QUEUED: Final = 1000
"""Its default of max_queued_messages."""

INFLIGHT: Final = 20
"""Its default of max_inflight_messages."""


class Mosquitto(NamedTuple):
    """What it is told.

    Attributes:
        file: its configuration.
        queued: messages that it keeps for a client that is away; 0: any number.
        inflight: messages that it sends ahead of their acknowledgement; 0: any number.
        persistent: whether sessions outlive a restart.
        name_is_id: whether it takes the user name for the client id.
    """

    file: Path
    queued: int
    inflight: int
    persistent: bool
    name_is_id: bool


def mosquitto_at(host: str, port: int, machine: Machine) -> Mosquitto | None:
    """The one that listens at this port of this machine; None: it is elsewhere, or its file cannot be read."""
    if not host.startswith(LOCAL):
        return None
    named = [
        Path(one.arguments[one.arguments.index("-c") + 1])
        for one in running(machine.root)
        if one.program == "mosquitto" and "-c" in one.arguments[:-1]
    ]
    for file in [machine.at(str(one)) for one in named] or [machine.at(USUAL)]:
        lines = _lines(file, machine)
        ports = {words[1] for words in lines if words[0] in {"listener", "port"} and len(words) > 1} or {
            "1883"
        }
        if lines and str(port) in ports:
            said = {words[0]: words[1] for words in lines if len(words) > 1}
            return Mosquitto(
                file,
                _number(said.get("max_queued_messages"), QUEUED),
                _number(said.get("max_inflight_messages"), INFLIGHT),
                said.get("persistence") == "true",
                said.get("use_username_as_clientid") == "true",
            )
    return None


def _lines(file: Path, machine: Machine) -> list[list[str]]:
    """Its lines as words, and those of the files it includes."""
    lines = []
    for line in read_text(file).splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        lines.append(words)
        if words[0] == "include_dir" and len(words) > 1:
            with contextlib.suppress(OSError):
                for one in sorted(machine.at(words[1]).glob("*.conf")):
                    lines += _lines(one, machine)
    return lines


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() else default
