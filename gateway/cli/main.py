"""gatewayctl: finds the command and runs it. Nothing is imported that the command does not need.

A command module offers `add_arguments(parser)` and `run(options) -> int`, whose result is the exit code; its
docstring is its help.
"""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Collection, Sequence
from typing import Final

_OF_OUTPUT: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What writing to standard output may fail with; what a command writes elsewhere it looks after itself."""

COMMANDS: Final = {
    "status": (
        "gateway.cli.status",
        "show whether data flows, and why not (exit code 0 healthy, 1 degraded, 2 down)",
    ),
    "sources": (
        "gateway.cli.sources",
        "show each source: its connection, its rate, and what is wrong with it",
    ),
    "tail": ("gateway.cli.tail", "show readings as they come in"),
    "reload": (
        "gateway.cli.reload",
        "have the daemon read its configuration anew (exit code 0 it goes by it, 1 refused)",
    ),
    "doctor": (
        "gateway.cli.doctor",
        "look at all that the gateway needs: what is wrong, and what mends it (exit code 0 nothing, 1 warnings, 2 problems)",
    ),
    "devices": (
        "gateway.cli.devices",
        "find serial ports; list the devices that were heard, and those that fell silent",
    ),
    "logs": ("gateway.cli.logs", "show what the services log, by source, device, event or urgency"),
    "spool": ("gateway.cli.spool", "show what waits for Kafka, and for how long there is room"),
    "dead-letters": (
        "gateway.cli.dead_letters",
        "show what could not be decoded, and make readings of it once it can be",
    ),
    "verify": ("gateway.cli.verify", "read the topics back: is anything missing, repeated, or out of order?"),
    "anomalies": (
        "gateway.cli.anomalies",
        "show what gateway-detect found (exit code 0 nothing is open, 1 something is)",
    ),
    "ack": ("gateway.cli.ack", "say that an anomaly has been seen"),
    "accept": ("gateway.cli.accept", "say that what an anomaly shows is normal from now on"),
    "fault": ("gateway.cli.fault", "say that an anomaly was a real fault: what it taught is forgotten"),
    "config": ("gateway.cli.config", "check or show a configuration, and what differs from the defaults"),
    "capture": ("gateway.cli.capture", "record what a source receives, raw and with times"),
    "decode": ("gateway.cli.decode", "try a decoder on recorded bytes (exit code 0 all decoded, 1 rejects)"),
    "simulate": (
        "gateway.cli.simulate",
        "pretend to be devices: send readings to an MQTT broker or a serial port",
    ),
    "service": ("gateway.cli.service", "run the gateway as a service of systemd, after `pipx install`"),
    "completion": ("gateway.cli.completion", "print what makes bash, zsh or fish complete the commands"),
    "version": ("gateway.cli.version", "show the versions of the gateway and of its libraries"),
    "demo": ("gateway.cli.demo", "run the whole way with simulated devices and an embedded Kafka"),
}


def parser(wanted: Collection[str]) -> argparse.ArgumentParser:
    """What parses the words after gatewayctl: with the arguments of the commands `wanted`, and the names of the others."""
    all_of_it = argparse.ArgumentParser(
        prog="gatewayctl",
        description="Looks after the edge gateway.",
        epilog="`gatewayctl COMMAND --help` tells more.",
        allow_abbrev=False,
    )
    all_of_it.add_argument("--version", action="store_true", help="print the version")
    commands = all_of_it.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module_name, summary) in COMMANDS.items():
        chosen = name in wanted
        command = commands.add_parser(name, help=summary, add_help=chosen, allow_abbrev=False)
        if chosen:
            module = importlib.import_module(module_name)
            command.description = module.__doc__
            command.formatter_class = argparse.RawDescriptionHelpFormatter
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return all_of_it


def main(arguments: Sequence[str] | None = None) -> int:
    """The command gatewayctl; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:  # closed by who started us
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as we run
        return _unprintable("standard output is closed")
    try:
        try:
            return _run(words)
        except OSError as error:
            if error.errno not in _OF_OUTPUT:
                raise
            _to_nowhere()
            return _unprintable(os.strerror(error.errno))
        finally:
            _flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output left.
        _to_nowhere()
        return 141


def _run(words: Sequence[str]) -> int:
    chosen = parser(words[:1])
    options = chosen.parse_args(words)
    if options.version:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely asked for

        sys.stdout.write(f"gatewayctl {version('iot-edge-gateway')}\n")
        return 0
    if options.command is None:
        chosen.print_help()
        return 2
    code: int = options.run(options)
    return code


def _flush() -> None:
    """Write what was printed, while something can be said about it.

    Raises:
        BrokenPipeError: nobody reads it.
        SystemExit: it cannot be written.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _to_nowhere()
        sys.exit(_unprintable(error.strerror or str(error)))


def _to_nowhere() -> None:
    """What is not written yet goes nowhere, or Python would complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unprintable(why: str) -> int:
    if sys.stderr is not None:
        sys.stderr.write(f"gatewayctl: what was to be printed cannot be written: {why}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
