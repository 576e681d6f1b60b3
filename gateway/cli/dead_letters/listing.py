"""Show the dead letters in Kafka, by source, place and reason, and how many still wait in the spool of gatewayd.

They are those of this gateway, or of all if neither the configuration nor gatewayd says which one this is. An ID names a
group: `show` shows its newest letter, with the addresses (PARTITION:OFFSET) of others, and `replay` takes all of it.

Exit code: 0 shown, 2 Kafka or the configuration cannot be read; what gatewayd knows is shown all the same.

examples: gatewayctl dead-letters list --since 2h --source 'line-*'
          gatewayctl dead-letters list --reason checksum --gateway '*' --json | jq '.groups[] | .id, .count'
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.cli.dead_letters.reading import (
    EXAMPLE,
    add_filters,
    add_where,
    filter_of,
    own_id,
    read,
    status_of,
)
from gateway.cli.dead_letters.showing import count_of, example, size_of
from gateway.config import ConfigError, GatewayConfig, load
from gateway.letters import EVERY, Found, Group
from gateway.moments import moment
from gateway.terminal import plain, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this verb."""
    add_where(parser)
    add_filters(parser)
    parser.add_argument("--gateway", metavar="ID", help="of this gateway; '*': of all (default: of this one)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Read, and print."""
    try:
        config = load(options.config, GatewayConfig)
    except ConfigError as error:
        sys.stderr.write(f"gatewayctl dead-letters list: {error}; name another file with --config\n")
        return 2
    # Needed only here, and slow to come.
    from gateway.kafka.readback import ReadbackError  # noqa: PLC0415

    status = status_of(options, config)
    gateway = options.gateway or own_id(config, status) or EVERY
    trouble, skipped, found = "", 0, Found(lambda _: False, kept=0, room=0)
    try:
        found, skipped = read(config, filter_of(options, gateway), options.last, kept=EXAMPLE)
    except (ReadbackError, ConfigError) as error:
        trouble = str(error)
    waiting = status["spool"]["dead_letters"] if status is not None else None
    if options.json:
        report = {
            "topic": config.kafka.dead_letters_topic,
            "bootstrap_servers": config.kafka.bootstrap_servers,
            "gateway": gateway,
            "trouble": trouble,
            "letters": len(found.letters),
            "replayed": len(found.letters.keys() & found.marks.keys()),
            "damaged": found.damaged,
            "not_read": skipped,
            "waiting": waiting,
            "groups": [_object(group) for group in found.groups()],
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return 2 if trouble else 0
    if trouble:
        sys.stderr.write(f"gatewayctl dead-letters list: Kafka cannot be read: {plain(trouble)}\n")
    else:
        _print(found, gateway)
    sys.stdout.write("".join(f"{line}\n" for line in _remarks(config, found, skipped)))
    sys.stdout.write("".join(f"{line}\n" for line in _daemon(status, with_sources=bool(trouble))))
    return 2 if trouble else 0


def _print(found: Found, gateway: str) -> None:
    groups = found.groups()
    if not groups:
        whose = "" if gateway == EVERY else f" of gateway {plain(gateway)}"
        sys.stdout.write(f"No dead letter{whose}.\n")
        return
    several = len({group.newest.content.gateway for group in groups}) > 1
    heads = ("ID", "COUNT", "REPLAYED", "FIRST", "LAST", "SIZE", "SOURCE", "PLACE", "REASON", "EXAMPLE")
    table(heads, [_row(group, several=several) for group in groups])


def _row(group: Group, *, several: bool) -> tuple[str, ...]:
    one = group.newest.content
    return (
        group.newest.group,
        str(group.count),
        str(group.replayed or "-"),
        moment(group.first),
        moment(group.last),
        size_of(group.smallest, group.largest),
        plain(f"{one.gateway}/{one.source}" if several else one.source),
        plain(one.place),
        plain(one.reason),
        example(one.payload),
    )


def _object(group: Group) -> Mapping[str, Any]:
    one = group.newest.content
    return {
        "id": group.newest.group,
        "gateway": one.gateway,
        "source": one.source,
        "place": one.place,
        "reason": one.reason,
        "kind": one.kind,
        "count": group.count,
        "replayed": group.replayed,
        "first": group.first,
        "last": group.last,
        "smallest": group.smallest,
        "largest": group.largest,
        "newest": str(group.newest.place),
        "example": example(one.payload),
    }


def _remarks(config: GatewayConfig, found: Found, skipped: int) -> Iterator[str]:
    if skipped:
        yield f"Up to {count_of(skipped, 'older record')} of the topic not read: --last or --since goes further back."
    if found.left:
        yield f"{count_of(found.left, 'letter')} more: too many to hold; --since, --source or --reason leaves out others."
    if found.damaged:
        yield f"{count_of(found.damaged, 'record')} of {config.kafka.dead_letters_topic} no dead letters."


def _daemon(status: Mapping[str, Any] | None, *, with_sources: bool) -> Iterator[str]:
    """What gatewayd knows."""
    if status is None:
        yield "gatewayd does not answer: how many wait on its disk tells `gatewayctl spool`."
        return
    yield f"{count_of(status['spool']['dead_letters'], 'dead letter')} in the spool of gatewayd, still on the way to Kafka."
    if with_sources:
        for source in status["sources"]:
            reasons = [f"{n} {why}" for why, n in source["dead_letters_by_reason"].items() if n]
            yield f"  {plain(source['name'])}: since its start {', '.join(reasons) or 'none'}"
