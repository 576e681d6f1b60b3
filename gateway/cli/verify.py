"""Read the readings back from Kafka and say what is missing, repeated, or out of order, by gateway and device.

An independent look: it asks no gatewayd, only Kafka, and changes nothing there. It may run anywhere, while gateways work.

Exit code: 0 nothing wrong, 1 something missing, repeated, out of order or no reading at all, 2 it could not be read.

example: gatewayctl verify --bootstrap-servers kafka-1:9092 --topic readings --gateway pi-7
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from devices.errors import SettingError
from devices.settings import convert
from gateway.config import ConfigError, GatewayConfig, Kafka, load
from gateway.config_files import usual_path
from gateway.kafka.readback import Arrival, Readback, ReadbackError
from gateway.verify import Audit, Findings

SETTLE: Final = 5.0
"""Seconds that what is just being written may take to appear, where something seems to be missing."""

SHOWN: Final = 5
"""So many examples of each kind are printed; `--json` has more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "--config",
        type=Path,
        help="the gateway's configuration, for [kafka] (default: $GATEWAY_CONFIG, else /etc/gateway/gateway.toml)",
    )
    parser.add_argument(
        "--bootstrap-servers",
        metavar="HOST:PORT",
        help="instead of those in the configuration, which need not exist",
    )
    parser.add_argument("--topic", help="the readings topic, instead of the one in the configuration")
    parser.add_argument("--gateway", default="", metavar="ID", help="this gateway only (default: all)")
    parser.add_argument("--json", action="store_true", help="print what was found as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Read, count, and print."""
    began = time.monotonic()
    try:
        config = _settings(options)
        readback = Readback(config, [config.readings_topic, config.dead_letters_topic])
    except (ConfigError, ReadbackError) as error:
        return _failed(error)
    try:
        audit = Audit(options.gateway, readback.expired)
        progress = _progress(readback.total, began) if sys.stderr.isatty() else lambda _: None
        trouble = _read(readback, audit, config, progress)
    except ReadbackError as error:
        return _failed(error)
    finally:
        readback.close()
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
    found = audit.findings()
    wrong = not all(one.flawless for one in found.values())
    if options.json:
        report = {
            "ok": bool(found) and not wrong,
            "topic": config.readings_topic,
            "records": audit.records,
            "seconds": round(time.monotonic() - began, 2),
            "expired_before_ms": readback.expired,
            "positions_trouble": trouble,
            "damaged": audit.damaged,
            "damage": audit.damage,
            "gateways": found,
        }
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
    else:
        where = f"{config.readings_topic} at {config.bootstrap_servers}"
        sys.stdout.write(f"{audit.records} records of {where} read in {time.monotonic() - began:.1f} s\n")
        text = _lines(audit, found, readback, trouble)
        sys.stdout.write("".join(line + "\n" for line in text))
        if not found:
            whose = f" of gateway {options.gateway}" if options.gateway else ""
            sys.stdout.write(f"\nThere is no reading{whose}.\n")
        elif not wrong:
            sys.stdout.write("\nNothing is missing, repeated, or out of order.\n")
    return 1 if wrong or not found else 0


def _settings(options: argparse.Namespace) -> Kafka:
    """Where to read, from the file and the options.

    Raises:
        ConfigError: the file is refused, or a value.
    """
    kafka = Kafka()
    if options.config or not options.bootstrap_servers:
        try:
            kafka = load(options.config or usual_path("gateway"), GatewayConfig).kafka
        except ConfigError as error:
            other = (
                ""
                if options.config
                else "; name another file with --config, or a broker with --bootstrap-servers"
            )
            raise ConfigError(f"{error}{other}") from None
    changes = {"bootstrap_servers": options.bootstrap_servers, "readings_topic": options.topic}
    table = {
        **msgspec.to_builtins(kafka),
        **{key: value for key, value in changes.items() if value is not None},
    }
    table.pop("delivery", None)
    try:
        return convert(table, Kafka)
    except SettingError as error:
        raise ConfigError(str(error)) from None


def _failed(error: Exception) -> int:
    sys.stderr.write(f"gatewayctl verify: {error}\n")
    return 2


def _progress(total: int, began: float) -> Callable[[int], None]:
    """Draws how far it is, ten times a second at most."""
    drawn = began

    def draw(done: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn >= 0.1:  # noqa: PLR2004 - quick enough for the eye
            drawn = now
            share = 100 * min(1.0, done / max(1, total))
            sys.stderr.write(f"\r\x1b[K{share:3.0f} %  {done} records, {done / (now - began):.0f}/s")
            sys.stderr.flush()

    return draw


def _read(readback: Readback, audit: Audit, config: Kafka, progress: Callable[[int], None]) -> str:
    """Count everything up to now; returns why a position could not be read (empty: none).

    Raises:
        ReadbackError: see there.
    """

    def count(lot: list[Arrival]) -> None:
        for arrival in lot:
            take = audit.reading if arrival[0] == config.readings_topic else audit.letter
            take(*arrival)
        progress(audit.records)

    for lot in readback.lots():
        count(lot)
    positions, trouble = readback.positions(audit.gateways)
    audit.expect(positions)
    deadline = time.monotonic() + SETTLE
    # The partitions were read one after the other, and gateways are at work: the rest of a batch may be just behind.
    while not audit.complete() and time.monotonic() < deadline:
        readback.more()
        for lot in readback.lots():
            count(lot)
        time.sleep(0.1)
    return trouble


def _lines(audit: Audit, found: dict[str, Findings], readback: Readback, trouble: str) -> Iterator[str]:
    if readback.expired:
        day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(readback.expired / 1000))
        yield f"Retention has removed older records: whether something is missing is known of what was sent after {day}."
    if trouble:
        yield f"A gateway's position and ledger could not be read: {trouble}."
    for topic in readback.absent:
        yield f"There is no topic {topic}: a dead letter would count as missing."
    for one in audit.damage[:SHOWN]:
        yield f"No record of ours: {one.topic} partition {one.partition} offset {one.offset}: {one.problem}"
    if audit.damaged > SHOWN:
        yield f"... {audit.damaged} of these in all"
    for gateway, findings in sorted(found.items()):
        yield ""
        yield from _gateway_lines(gateway, findings)


def _gateway_lines(gateway: str, found: Findings) -> Iterator[str]:
    yield (
        f"gateway {gateway}: {found.readings} readings of {found.devices} devices, "
        f"{found.dead_letters} dead letters, {found.starts} starts of gatewayd"
    )
    yield f"  missing       {found.missing:>8}"
    for gap in found.gaps[:SHOWN]:
        numbers = f"{gap.first}" if gap.size == 1 else f"{gap.first} to {gap.last}"
        yield f"                           spool {gap.spool}, epoch {gap.epoch}, {numbers}"
    if found.missing:
        yield f"                           {_account(found)}"
    for name, count, places in (
        ("repeated", found.repeated, found.repeated_at),
        ("out of order", found.out_of_order, found.out_of_order_at),
    ):
        yield f"  {name:<14}{count:>8}"
        for one in places[:SHOWN]:
            yield (
                f"                           {one.device!r}, partition {one.partition} offset {one.offset},"
                f" spool {one.spool}, epoch {one.seq >> 40}, {one.seq & (1 << 40) - 1}"
            )
    if found.refused:
        yield f"  refused       {found.refused:>8}   by Kafka; they are in the dead letters with the reason"
    if found.replayed or found.recovered:
        yield f"  recovered     {found.recovered:>8}   made of {found.replayed} dead letters that were replayed; marked as such"
    if found.redelivered:
        yield f"  redelivered   {found.redelivered:>8}   by an MQTT broker, before they were numbered; marked as such"
    if found.expired:
        yield f"  too old       {found.expired:>8}   not there, and may have been removed by retention"


def _account(found: Findings) -> str:
    """What the ledger in Kafka says to what is missing."""
    if not found.ledger:
        return "there is no ledger of this gateway in Kafka that could explain it (docs/verify.md)"
    dropped = sum(found.dropped.values())
    if not dropped:
        return 'the gateway\'s ledger knows of none that was dropped: see "What is missing, and why" in docs/verify.md'
    reasons = ", ".join(f"{count} {reason}" for reason, count in found.dropped.items())
    if found.unexplained:
        return f"of these {dropped} were dropped by the gateway's ledger ({reasons}), {found.unexplained} are not accounted for"
    if dropped == found.missing:
        return f"all of these were dropped by the gateway's ledger: {reasons}"
    return f"the gateway's ledger says that it dropped {dropped} since its beginning, which may be all of these: {reasons}"
