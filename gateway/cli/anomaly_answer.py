"""Says something about an anomaly to every gateway-detect, and waits until the one that knows it answers."""

import argparse
import getpass
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from gateway.anomalies import ANSWERS, Anomalies, NoSuchAnomaly, Story, is_storm, type_of_verb
from gateway.cli.records import Topic, kafka_of, sensor_of
from gateway.config import ConfigError, DetectKafka
from gateway.kafka.client import Record
from gateway.kafka.readback import ReadbackError
from gateway.kafka.saying import SayingError, say
from gateway.terminal import plain
from gateway.wire import VERSION, Anomaly, Command, encode_command

ALREADY: Final = {"ack": "acknowledged", "accept": "accepted", "fault": "called a real fault"}

LOOK_EVERY: Final = 0.1
"""Seconds between two looks for the answer."""


def answer(verb: type_of_verb, options: argparse.Namespace) -> int:
    """Find the anomaly, say it, and wait."""
    try:
        kafka = kafka_of(options.config)
        topic = Topic(kafka)
    except (ConfigError, ReadbackError) as error:
        return _failed(verb, error)
    try:
        anomalies = Anomalies()
        for record in topic.records():
            anomalies.take(record)
        story = anomalies.find(options.id)
        spoken_of = _spoken_of(anomalies, story)
        meant = [one for one in spoken_of if verb not in one.heard]
        if not meant and options.json:
            _print_json(verb, [], set(), already=True)
            return 0
        if not meant:
            by = f" by {plain(spoken_of[0].heard[verb])}" if spoken_of[0].heard[verb] else ""
            sys.stdout.write(f"{anomalies.short(story.last.id)} is {ALREADY[verb]} already{by}\n")
            return 0
        _say(kafka, verb, options.by or _user(), meant)
        said: list[Anomaly] = []
        silent = {one.last.id for one in meant}
        for record in _answers(topic, verb, silent, options.wait):
            said.append(record)
            if not options.json:
                sys.stdout.write(_line(record))
        if options.json:
            _print_json(verb, said, silent, already=False)
    except (ReadbackError, NoSuchAnomaly, SayingError) as error:
        return _failed(verb, error)
    finally:
        topic.close()
    if silent:
        names = ", ".join(anomalies.short(one) for one in sorted(silent))
        sys.stderr.write(
            f"gatewayctl {verb}: no answer within {options.wait:g} s about {names}. It is said, and holds as soon as "
            "gateway-detect hears it: is it running, with this kafka.commands_topic? It answers about the last anomaly of "
            "each sensor and rule, and once to the same word.\n"
        )
    return int(bool(silent))


def _failed(verb: str, error: Exception) -> int:
    sys.stderr.write(f"gatewayctl {verb}: {plain(str(error))}\n")
    return 2


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"


def _spoken_of(anomalies: Anomalies, story: Story) -> list[Story]:
    """A storm means all in it that are not cleared."""
    if not is_storm(story):
        return [story]
    inside = [one for one in anomalies.stories() if one.last.storm == story.last.id and not is_storm(one)]
    inside = [one for one in inside if one.state != "cleared"]
    if not inside:
        raise NoSuchAnomaly("all anomalies of this storm are cleared; name one of them")
    return inside


def _say(kafka: DetectKafka, verb: type_of_verb, by: str, meant: list[Story]) -> None:
    now = time.time_ns()
    commands = [Command(VERSION, one.last.id, verb, by, now) for one in meant]
    say(kafka, [Record(kafka.commands_topic, one.id.encode(), encode_command(one)) for one in commands])


def _answers(topic: Topic, verb: type_of_verb, waiting: set[str], seconds: float) -> Iterator[Anomaly]:
    """What is answered in time, until nobody is waited for; who has answered leaves `waiting`."""
    deadline = time.monotonic() + seconds
    while True:
        for record in topic.records():
            if record.id in waiting and record.event in ANSWERS[verb]:
                waiting.discard(record.id)
                yield record
        if not waiting or time.monotonic() >= deadline:
            return
        time.sleep(LOOK_EVERY)


def _print_json(verb: str, said: Sequence[Anomaly], silent: set[str], *, already: bool) -> None:
    answered = [msgspec.to_builtins(one) for one in said]
    shown = {"verb": verb, "already": already, "answered": answered, "unanswered": sorted(silent)}
    sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")


def _line(record: Anomaly) -> str:
    return f"{sensor_of(record, with_gateway=True)}, {plain(record.rule)}: {plain(record.sentence)}\n"
