"""Make readings of dead letters by the configuration as it is now, and send them to Kafka, each once.

Takes letters (PARTITION:OFFSET), groups (their id), or all that the filters leave; only those of this gateway. Readings keep
the time at which their letter was received and carry the flag `recovered`; what still cannot be decoded stays as it is.
What was replayed is marked in the topic, in the same transaction: repeat it at will, also after it was killed. Correct the
configuration first; gatewayd need not run, and what it sends is not touched. See docs/dead-letters.md.

Exit code: 0 all of these letters are replayed, 1 some could not be, 2 nothing could be asked or nobody said yes.

examples: gatewayctl dead-letters replay --dry-run --source boiler-room --since 12h
          gatewayctl dead-letters replay 3f09a1c2 0:1234 --yes
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.cli.dead_letters.reading import ROOM, add_filters, add_where, filter_of, own_id, read, status_of
from gateway.cli.dead_letters.showing import count_of, reading_line, reading_object
from gateway.config import ConfigError, GatewayConfig, load
from gateway.letters import Address, Found, Letter, Place, address
from gateway.moments import moment
from gateway.terminal import plain

if TYPE_CHECKING:  # slow to come
    from gateway.recovery import Made, Recovery

Report = Callable[[Letter, str, str, "Made | None"], None]
"""Tells of a letter: what became of it, with a sentence if that was nothing, and what was made of it."""

SHOWN: Final = 5
"""Readings of a letter that are shown."""


class Plan(NamedTuple):
    """What is to be done.

    Attributes:
        already: letters that were replayed before.
        made: those that give something, and what.
        failed: the others, each with a word and a sentence why.
        left: how many were not looked at, as they would not fit into memory.
    """

    already: list[Letter]
    made: "list[Made]"
    failed: list[tuple[Letter, str, str]]
    left: int

    @property
    def code(self) -> int:
        """The exit code, if all that gives something is replayed."""
        return int(bool(self.failed or self.left))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    parser.add_argument(
        "id",
        type=address,
        nargs="*",
        metavar="ID",
        help="letters or groups (default: all that the filters leave)",
    )
    add_where(parser)
    add_filters(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be made, and write nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object a letter; needs --yes or --dry-run"
    )


def run(options: argparse.Namespace) -> int:
    """Read, decode, ask, write."""
    # Needed only here, and slow to come.
    from gateway.cli.said import log_to_stderr  # noqa: PLC0415

    log_to_stderr()
    from gateway.kafka.readback import ReadbackError  # noqa: PLC0415
    from gateway.recovery import Recovery  # noqa: PLC0415

    try:
        config = load(options.config, GatewayConfig)
        gateway = _own_id(config, options)
        recovery = Recovery(config, options.config, gateway)
        found, skipped = read(config, filter_of(options, gateway, options.id), options.last, kept=ROOM)
        _check_all_there(options.id, found)
    except (ConfigError, ReadbackError, _CannotBe) as error:
        return _failed(str(error))
    plan = _plan(recovery, found)
    _show(plan, skipped, options)
    if options.dry_run or not plan.made:
        return plan.code
    if not (options.yes or _confirmed(options, plan)):
        return _failed("nothing was written: nobody said yes (--yes, or y at a terminal)")
    return _write(config, gateway, recovery, plan, _report(options)) or plan.code


class _CannotBe(Exception):
    """What is asked for. The text says why."""


def _own_id(config: GatewayConfig, options: argparse.Namespace) -> str:
    if gateway := own_id(config, status_of(options, config)):
        return gateway
    raise _CannotBe(
        f"{options.config} has no gateway.id and gatewayd does not answer, so it is not known whose letters to replay: "
        "start gatewayd, or set gateway.id"
    )


def _show(plan: Plan, skipped: int, options: argparse.Namespace) -> None:
    """What is to be done, and what cannot be."""
    report = _report(options)
    for one in plan.made if options.dry_run else ():
        report(one.letter, "would be replayed", "", one)
    if options.json:
        for letter in plan.already:
            report(letter, "replayed before", "", None)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _summary(plan, skipped)))
    for letter, why, text in plan.failed:
        report(letter, why, text, None)
    sys.stdout.flush()


def _write(
    config: GatewayConfig,
    gateway: str,
    recovery: "Recovery",
    plan: Plan,
    report: "Report",
) -> int:
    from gateway.cli.dead_letters.writing import write  # noqa: PLC0415 - as above

    progress = _progress(len(plan.made)) if sys.stderr.isatty() else lambda _: None
    try:
        outcome = write(config.kafka, gateway, recovery, plan.made, progress)
    except ConfigError as error:
        return _failed(str(error))
    if report is _as_json:
        for one in outcome.written:
            report(one.letter, "replayed", "", one)
        for one in outcome.already:
            report(one.letter, "replayed before", "", None)
    for one, reason in outcome.refused:
        report(one.letter, "refused by Kafka", f"it stays a dead letter: {reason}", None)
    readings = sum(len(one.readings) for one in outcome.written)
    sys.stderr.write(
        f"replayed {count_of(len(outcome.written), 'letter')}: {count_of(readings, 'reading')}\n"
    )
    if outcome.already:
        sys.stderr.write(f"{count_of(len(outcome.already), 'letter')} replayed by somebody else meanwhile\n")
    if outcome.trouble:
        rest = len(plan.made) - len(outcome.written) - len(outcome.already) - len(outcome.refused)
        return _failed(
            f"{count_of(rest, 'letter')} not replayed: {outcome.trouble}; repeat it: what is replayed is left out",
            code=1 if outcome.written else 2,
        )
    return int(bool(outcome.refused))


def _report(options: argparse.Namespace) -> Report:
    return _as_json if options.json else _as_text


def _failed(text: str, code: int = 2) -> int:
    sys.stderr.write(f"gatewayctl dead-letters replay: {plain(text)}\n")
    return code


def _check_all_there(wanted: Sequence[Address], found: Found) -> None:
    if found.left:
        return  # what was asked for may be among those
    places = {one.place for one in found.letters.values()} | found.copies
    groups = {one.group for one in found.letters.values()}
    for one in wanted:
        if one not in places and one not in groups:
            raise _CannotBe(
                f"there is no {'letter' if isinstance(one, Place) else 'group'} {one}; `gatewayctl dead-letters list` "
                "shows those there are, --last goes further back"
            )


def _plan(recovery: "Recovery", found: Found) -> Plan:
    from gateway.recovery import Unrecoverable  # noqa: PLC0415 - as above

    plan = Plan([], [], [], found.left)
    for id_, letter in sorted(found.letters.items(), key=lambda item: item[1].place):
        if id_ in found.marks:
            plan.already.append(letter)
            continue
        try:
            plan.made.append(recovery.make(letter))
        except Unrecoverable as error:
            plan.failed.append((letter, error.why, str(error)))
    return plan


def _summary(plan: Plan, skipped: int) -> list[str]:
    letters = len(plan.made) + len(plan.already) + len(plan.failed)
    text = [
        f"{count_of(letters, 'dead letter')}: {len(plan.already)} replayed before, {len(plan.failed)} give nothing"
    ]
    if plan.failed:
        whys = Counter(why for _, why, _ in plan.failed)
        text[0] += f" ({', '.join(f'{count} {why}' for why, count in whys.most_common())})"
    readings = sum(len(one.readings) for one in plan.made)
    text[0] += f", {len(plan.made)} to replay give {count_of(readings, 'reading')}"
    if plan.left:
        text.append(
            f"{count_of(plan.left, 'letter')} more, for which there is no room in memory: repeat it for them"
        )
    if skipped:
        text.append(
            f"Up to {count_of(skipped, 'older record')} of the topic not read: --last or --since goes further back."
        )
    return text


def _confirmed(options: argparse.Namespace, plan: Plan) -> bool:
    if options.json or not sys.stdin.isatty():
        return False
    sys.stderr.write(f"Replay {count_of(len(plan.made), 'letter')}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _progress(total: int) -> Callable[[int], None]:
    def draw(done: int) -> None:
        sys.stderr.write(
            f"\r\x1b[K{done} of {count_of(total, 'letter')}" + ("\r\x1b[K" if done == total else "")
        )
        sys.stderr.flush()

    return draw


def _as_text(letter: Letter, state: str, problem: str, made: "Made | None") -> None:
    where = f"{letter.place} {plain(letter.content.source)}"
    if made is None:
        sys.stdout.write(f"! {where}: {state}{f': {plain(problem)}' if problem else ''}\n")
        return
    sys.stdout.write(f"{where}: {count_of(len(made.readings), 'reading')}\n")
    for one in made.readings[:SHOWN]:
        sys.stdout.write(f"    {reading_line(one, moment(one.time))}\n")
    if len(made.readings) > SHOWN:
        sys.stdout.write(f"    ... and {len(made.readings) - SHOWN} more\n")


def _as_json(letter: Letter, state: str, problem: str, made: "Made | None") -> None:
    shown: Mapping[str, Any] = {
        "address": str(letter.place),
        "group": letter.group,
        "source": letter.content.source,
        "state": state,
        "problem": problem,
        "spool": letter.spool,
        "readings": [reading_object(one) for one in made.readings] if made else [],
    }
    sys.stdout.write(json.dumps(shown) + "\n")
