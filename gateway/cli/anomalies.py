"""Show the anomalies that gateway-detect found: those that are open, or with `--all` those that are over too.

They are read from the topic of anomalies in Kafka: this may run anywhere, while gateways work. An id is shown as far as it
differs from all others; `gatewayctl ack`, `accept` and `fault` take it so. Many anomalies of one gateway at once are a
storm and shown as one line; `--device`, `--sensor`, `--rule` and `--grade` show each.

Exit code: 0 none of those listed is open, 1 at least one is, 2 they could not be read.

examples: gatewayctl anomalies --config /etc/gateway/detect.toml
          gatewayctl anomalies --all --since 12h --device 'boiler-*'
          gatewayctl anomalies --follow --json | jq -r .sentence
"""

import argparse
import sys
import time
from fnmatch import fnmatchcase
from typing import Any, Final, NoReturn

import msgspec

from gateway.anomalies import Anomalies, Story, folded, is_storm, state_of
from gateway.cli.records import Topic, add_config, kafka_of, sensor_of
from gateway.config import ConfigError
from gateway.kafka.readback import ReadbackError
from gateway.moments import moment, point
from gateway.terminal import plain, table
from gateway.wire import Anomaly

LOOK_EVERY: Final = 0.5
"""Seconds between two looks for something new with `--follow`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    add_config(parser)
    parser.add_argument("--all", action="store_true", help="those that are cleared too")
    parser.add_argument(
        "--since",
        type=point,
        default=-(2**63),
        metavar="TIME",
        help="only those of which something was said since then: 90min, 12h, 7d, or a time such as 2026-01-31T08:00 (local)",
    )
    parser.add_argument(
        "--device", default="*", metavar="PATTERN", help="of these devices, such as 'boiler-*'"
    )
    parser.add_argument("--sensor", default="*", metavar="PATTERN", help="of these sensors")
    parser.add_argument(
        "--rule", default="*", metavar="PATTERN", help="of this rule, such as limits or 'spike*'"
    )
    parser.add_argument("--grade", default="*", choices=("alarm", "advisory"), help="of this grade")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="then print each event as it comes, until Ctrl-C; a Kafka that is away is waited for",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object a line: the record, and `state`"
    )


def run(options: argparse.Namespace) -> int:
    """Read, print, and go on with what comes."""
    try:
        topic = Topic(kafka_of(options.config))
    except (ConfigError, ReadbackError) as error:
        return _failed(error)
    try:
        shown = Anomalies(
            lambda story: (options.all or story.state != "cleared") and _matches(story.last, options)
        )
        for record in topic.records():
            shown.take(record)
        stories = shown.stories()
        _print(shown, stories, options)
        if topic.damaged:
            are = (
                "record of the topic is no anomaly"
                if topic.damaged == 1
                else "records of the topic are no anomalies"
            )
            sys.stderr.write(f"gatewayctl anomalies: {topic.damaged} {are}\n")
        if options.follow:
            _follow(topic, shown, options)
    except ReadbackError as error:
        return _failed(error)
    finally:
        topic.close()
    return int(any(one.state != "cleared" for one in stories))


def _failed(error: Exception) -> int:
    sys.stderr.write(f"gatewayctl anomalies: {error}\n")
    return 2


def _matches(record: Anomaly, options: argparse.Namespace) -> bool:
    return (
        record.time >= options.since
        and fnmatchcase(record.device, options.device)
        and fnmatchcase(record.sensor, options.sensor)
        and fnmatchcase(record.rule, options.rule)
        and fnmatchcase(record.grade, options.grade)
    )


def _print(anomalies: Anomalies, stories: list[Story], options: argparse.Namespace) -> None:
    if options.json:
        for story in stories:
            _print_json(story, story.last)
        return
    if not stories:
        sys.stdout.write("No anomaly.\n" if options.all else "No anomaly is open.\n")
        return
    picky = (options.device, options.sensor, options.rule, options.grade) != ("*", "*", "*", "*")
    rows = [(one, [one]) for one in stories] if picky else folded(stories)
    several = len({one.last.gateway for one in stories}) > 1
    table(
        ("ID", "SINCE", "SENSOR", "RULE", "GRADE", "STATE", "WHAT"),
        [
            (
                anomalies.short(head.last.id),
                moment(head.last.since),
                sensor_of(head.last, with_gateway=several),
                plain(head.last.rule),
                head.last.grade,
                state_of(head, behind),
                _what(head, behind),
            )
            for head, behind in rows
        ],
    )


def _what(head: Story, behind: list[Story]) -> str:
    text = plain(head.last.sentence)
    if is_storm(head):
        return f"{text} ({len(behind)} of them listed here)"
    return f"{text} (and {len(behind) - 1} more in one storm)" if len(behind) > 1 else text


def _print_json(story: Story, record: Anomaly) -> None:
    shown: dict[str, Any] = {"state": story.state, **msgspec.to_builtins(record)}
    sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")


def _follow(topic: Topic, anomalies: Anomalies, options: argparse.Namespace) -> NoReturn:
    """Print each record that comes, until Ctrl-C. A Kafka that is away is said once, and waited for."""
    away = False
    while True:
        sys.stdout.flush()
        time.sleep(LOOK_EVERY)
        try:
            for record in topic.records():
                story = anomalies.take(record)
                if _matches(record, options):
                    _print_event(anomalies, story, record, options)
            away = False
        except ReadbackError as error:
            if not away:
                sys.stderr.write(f"gatewayctl anomalies: goes on when Kafka answers again: {error}\n")
            away = True


def _print_event(anomalies: Anomalies, story: Story, record: Anomaly, options: argparse.Namespace) -> None:
    if options.json:
        _print_json(story, record)
        return
    sys.stdout.write(
        f"{moment(record.time)}  {anomalies.short(record.id)}  {sensor_of(record, with_gateway=True)}  "
        f"{plain(record.rule)}  {record.grade}  {record.event}: {plain(record.sentence)}\n"
    )
