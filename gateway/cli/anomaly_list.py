"""Reads the topic of anomalies, for `gatewayctl anomalies`."""

import argparse
import sys
import time
from fnmatch import fnmatchcase
from typing import Any, Final, NoReturn

import msgspec

from gateway.anomalies import Anomalies, Story, folded, is_storm, state_of
from gateway.cli.records import Topic, kafka_of, sensor_of
from gateway.config import ConfigError
from gateway.kafka.readback import ReadbackError
from gateway.moments import moment
from gateway.terminal import plain, table
from gateway.wire import Anomaly

LOOK_EVERY: Final = 0.5
"""Seconds between two looks for something new with `--follow`."""


def show(options: argparse.Namespace) -> int:
    """What `gatewayctl anomalies` does: read, print, and go on with what comes. Returns its exit code."""
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
