"""From the options of the command to what is simulated."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from devices.errors import SettingError
from devices.framing.checksum import make_checksum
from devices.settings import convert
from devices.simulator import recording
from devices.simulator.faults import KINDS, TROUBLES
from devices.simulator.payloads import Form
from devices.simulator.settings import Settings, check, models_of, too_many_faults
from gateway.cli.arguments import source_settings
from gateway.cli.simulate.carrier import Carrier
from gateway.cli.simulate.line import PtyCarrier
from gateway.cli.simulate.mqtt import MqttCarrier, broker_of

PTY = "pty"
NAME = "simulate"


def settings_of(options: argparse.Namespace) -> Settings:
    """The devices and their faults.

    Raises:
        ConfigError: of the configuration file.
        SettingError: options that are wrong, or do not fit together.
    """
    _check_together(options)
    settings = Settings() if options.config is None else _configured(options.config, options.source)
    changes: dict[str, Any] = {
        "count": options.devices,
        "seed": options.seed,
        "faults_per_hour": options.faults_per_hour,
        "faults": options.faults and _kinds(options.faults),
    }
    settings = msgspec.structs.replace(
        settings, **{key: value for key, value in changes.items() if value is not None}
    )
    if options.rate is not None:
        readings = settings.count * len(models_of(settings))
        settings = msgspec.structs.replace(settings, interval=readings / options.rate)
    if options.replay is not None:
        settings = msgspec.structs.replace(settings, faults=_troubles_only(settings, options))
    elif not settings.interval:
        raise SettingError("--rate", "is missing: the interval of this source is 0, which gives no pace")
    else:
        if problem := too_many_faults(settings):
            raise SettingError("--faults-per-hour", f"{problem}, or raise --rate")
        check(settings, f"sources.{options.source}" if options.source else NAME)
    if (
        options.to == PTY
        and options.link is None
        and settings.faults_per_hour
        and "disconnect" in settings.faults
    ):
        raise SettingError(
            "--link", "is missing: after a disconnect the port has another name; give it a stable one"
        )
    if options.to != PTY and "/" in settings.prefix:
        raise SettingError(
            "prefix", f"{settings.prefix!r} is not allowed: a device is one level of an MQTT topic"
        )
    return settings


def form_of(options: argparse.Namespace, settings: Settings) -> Form:
    """How the devices write."""
    on_line = options.to == PTY
    spec = {"kind": options.checksum, "hex": True} if options.checksum else ""
    return Form(
        models_of(settings),
        options.format or ("keyvalue" if on_line else "json"),
        named=on_line,
        single=options.single,
        check=make_checksum(spec, "--checksum"),
    )


def recording_of(options: argparse.Namespace) -> recording.Settings:
    """The file to replay.

    Raises:
        SettingError: it is none.
    """
    table = {"file": options.replay, "speed": 1.0 if options.speed is None else options.speed}
    return convert(table, recording.Settings, "--replay")


def carrier_of(options: argparse.Namespace) -> Carrier:
    """What takes it there.

    Raises:
        SimulateError: it cannot.
    """
    return PtyCarrier(options.link) if options.to == PTY else MqttCarrier(broker_of(options.to))


def _check_together(options: argparse.Namespace) -> None:
    if (options.config is None) != (options.source is None):
        raise SettingError("", "--config and --source go together")
    if options.faults is not None and options.faults_per_hour is None and options.config is None:
        raise SettingError("--faults", "wants --faults-per-hour")
    if options.speed is not None and options.replay is None:
        raise SettingError("--speed", "wants --replay")
    if options.to != PTY:
        for name in ("link", "checksum"):
            if getattr(options, name) is not None:
                raise SettingError(f"--{name}", "wants --to pty")
    if options.replay is not None:
        for name in ("devices", "rate", "config", "format", "single", "checksum"):
            if getattr(options, name):
                raise SettingError(
                    f"--{name}", "is not allowed with --replay: the file says what is sent, as JSON"
                )


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    for kind in kinds:
        if kind not in (*KINDS, *TROUBLES):
            raise SettingError("--faults", f"{kind!r} is not allowed: {', '.join((*KINDS, *TROUBLES))}")
    return kinds


def _troubles_only(settings: Settings, options: argparse.Namespace) -> tuple[str, ...]:
    """The kinds that a replay can have."""
    if options.faults_per_hour is not None and options.faults is None:
        raise SettingError(
            "--faults",
            "is missing: the values of a replay are recorded, so say what else goes wrong; "
            f"allowed: {', '.join(TROUBLES)}",
        )
    wrong = [kind for kind in settings.faults if kind not in TROUBLES]
    if options.faults_per_hour is not None and wrong:
        raise SettingError(
            "--faults",
            f"{wrong[0]!r} is not allowed with --replay: the values are recorded; allowed: {', '.join(TROUBLES)}",
        )
    return settings.faults


def _configured(path: Path, name: str) -> Settings:
    settings = source_settings(path, name)
    if not isinstance(settings, Settings):
        raise SettingError("--source", f"{name!r} is not allowed: a source of kind simulator is wanted")
    return settings
