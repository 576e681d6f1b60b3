"""Show one dead letter whole, and what would be made of it now, by the configuration as it is.

ID is the address PARTITION:OFFSET of a letter, or the id of a group, which stands for its newest letter.

Exit code: 0 shown, and readings could be made of it (or were), 1 shown, and none can be, 2 it could not be shown.

example: gatewayctl dead-letters show 0:1234
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from devices.reading import Reading
from gateway.cli.dead_letters.reading import ROOM, add_where, own_id, read, status_of
from gateway.cli.dead_letters.showing import count_of, dump, example, reading_line, reading_object
from gateway.config import ConfigError, GatewayConfig, load
from gateway.letters import Address, Filter, Letter, Place, address
from gateway.moments import moment
from gateway.terminal import plain
from gateway.wire import Replayed

DUMPED: Final = 512
"""Bytes shown without --all."""

OTHERS: Final = 20
"""So many addresses of a group are shown."""


class Now(NamedTuple):
    """What is made of a letter now: readings, or nothing, with a word and a sentence why."""

    readings: Sequence[Reading]
    why: str
    problem: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    parser.add_argument(
        "id", type=address, nargs=1, metavar="ID", help="as `gatewayctl dead-letters list` shows it"
    )
    add_where(parser)
    parser.add_argument("--all", action="store_true", help=f"show all bytes, and not the first {DUMPED} only")
    parser.add_argument("--json", action="store_true", help="print one JSON object; `payload` is in base64")


def run(options: argparse.Namespace) -> int:
    """Read, try, and print."""
    # Needed only here, and slow to come.
    from gateway.cli.said import log_to_stderr  # noqa: PLC0415

    log_to_stderr()
    from gateway.kafka.readback import ReadbackError  # noqa: PLC0415
    from gateway.recovery import Recovery, Unrecoverable  # noqa: PLC0415

    [wanted] = options.id
    try:
        config = load(options.config, GatewayConfig)
        others: list[Place] = []
        if not isinstance(wanted, Place):
            found, _ = read(config, Filter(addresses=frozenset([wanted])), options.last, kept=0)
            others = sorted(one.place for one in found.letters.values())
            wanted = _newest(wanted, list(found.letters.values())).place
        found, _ = read(config, Filter(addresses=frozenset([wanted])), options.last, kept=ROOM)
        letter = _newest(wanted, list(found.letters.values()))
        gateway = own_id(config, status_of(options, config)) or letter.content.gateway
        recovery = Recovery(config, options.config, gateway)
    except (ConfigError, ReadbackError, _Absent) as error:
        sys.stderr.write(f"gatewayctl dead-letters show: {plain(str(error))}\n")
        return 2
    mark = found.marks.get(letter.id)
    try:
        now = Now(recovery.make(letter).readings, "", "")
    except Unrecoverable as error:
        now = Now([], error.why, str(error))
    if options.json:
        sys.stdout.write(json.dumps(_object(letter, mark, now), indent=2) + "\n")
    else:
        text = [
            *_lines(letter, mark, [str(one) for one in others if one != letter.place]),
            "",
            *_now(now),
            "",
            *_bytes(letter, whole=options.all),
        ]
        sys.stdout.write("".join(f"{line}\n" for line in text))
    return int(bool(now.problem) and mark is None)


class _Absent(Exception):
    """There is no such letter."""


def _newest(wanted: Address, letters: list[Letter]) -> Letter:
    if not letters:
        what = "letter" if isinstance(wanted, Place) else "group"
        hint = (
            ""
            if isinstance(wanted, Place)
            else " among the last records of the topic: --last goes further back"
        )
        raise _Absent(
            f"there is no {what} {wanted}{hint}; `gatewayctl dead-letters list` shows those there are"
        )
    return max(letters, key=lambda one: one.content.received)


def _lines(letter: Letter, mark: Replayed | None, others: list[str]) -> Iterator[str]:
    one = letter.content
    kept = "whole" if len(one.payload) >= one.size else f"of which the first {len(one.payload)} were kept"
    yield f"letter    {letter.place} of gateway {plain(one.gateway)}"
    yield f"source    {plain(one.source)}"
    yield f"place     {plain(one.place)}"
    yield f"reason    {plain(one.reason)}{f' ({plain(one.kind)})' if one.kind else ''}"
    yield f"received  {moment(one.received)}, sent to Kafka {moment(letter.sent * 1_000_000)}"
    if one.flags:
        yield f"flags     {plain(', '.join(one.flags))}"
    yield f"size      {count_of(one.size, 'byte')}, {kept}"
    yield f"spool     {plain(one.spool) or 'unknown'}, number {one.seq}"
    if mark is not None:
        yield f"replayed  {moment(mark.time)}: {count_of(mark.readings, 'reading')}, spool {plain(mark.spool)}"
    if others:
        more = f" and {len(others) - OTHERS} more" if len(others) > OTHERS else ""
        yield f"group     {letter.group}: {', '.join(others[-OTHERS:])}{more}"


def _now(now: Now) -> Iterator[str]:
    if now.problem:
        yield f"now gives nothing: {plain(now.problem)}"
        return
    none = "" if now.readings else ": it carries none, on purpose"
    yield f"now gives {count_of(len(now.readings), 'reading')}{none}"
    for reading in now.readings:
        yield f"  {reading_line(reading, moment(reading.time))}"


def _bytes(letter: Letter, *, whole: bool) -> Iterator[str]:
    payload = letter.content.payload
    shown = payload if whole else payload[:DUMPED]
    yield f"text      {example(shown, len(shown) * 4 if whole else DUMPED)}"
    yield from dump(shown)
    if len(shown) < len(payload):
        yield f"... {count_of(len(payload) - len(shown), 'more byte')}: --all"


def _object(letter: Letter, mark: Replayed | None, now: Now) -> dict[str, Any]:
    return {
        "address": str(letter.place),
        "group": letter.group,
        "sent_ms": letter.sent,
        "letter": msgspec.to_builtins(letter.content),
        "replayed": msgspec.to_builtins(mark) if mark is not None else None,
        "now": {
            "readings": [reading_object(one) for one in now.readings],
            "why": now.why,
            "problem": now.problem,
        },
    }
