"""On which terms what detection says is compared: record for record, or as something that is said once."""

from collections import defaultdict
from typing import Final

import msgspec
from detect_fleet import LOOSE, TOLD

from gateway.wire import Anomaly

ANSWERS: Final = {"ack": "acknowledged", "accept": "accepted", "fault": "fault"}
"""What is said when these are heard."""

Asked = tuple[str, str]
"""Id of an anomaly, and what was said of it."""


def compared(anomaly: Anomaly) -> Anomaly | None:
    """What must be equal in every run over the same readings; None: this one goes by Terms.

    Silence is told when time has passed, which is when somebody looks; so is the end of a storm, and what a storm is made of where there is
    silence. What a command changes depends on when it is heard.
    """
    if anomaly.event in ANSWERS.values() or anomaly.rule == "silence" or anomaly.device.startswith(TOLD):
        return None
    if anomaly.rule == "storm":
        return None if anomaly.event == "cleared" or anomaly.gateway == LOOSE else anomaly
    return (
        msgspec.structs.replace(anomaly, storm="") if anomaly.gateway == LOOSE and anomaly.storm else anomaly
    )


class Terms:
    """Everything is said once, and in order: raised, updated, cleared, and the answer to each command.

    Attributes:
        silences: ids of those that were raised.
    """

    def __init__(self) -> None:
        self._said: defaultdict[str, list[str]] = defaultdict(list)
        self._sensor: dict[str, tuple[str, ...]] = {}
        self._newest: dict[tuple[str, ...], str] = {}
        self.silences: set[str] = set()

    def raised(self, anomaly: Anomaly) -> None:
        """To be called for all, also those that are compared."""
        name = (anomaly.gateway, anomaly.device, anomaly.sensor, anomaly.rule)
        self._newest[name], self._sensor[anomaly.id] = anomaly.id, name

    def take(self, anomaly: Anomaly) -> str:
        """Hear of an event; what is wrong with it, or nothing."""
        said, event = self._said[anomaly.id], str(anomaly.event)
        if event == "cleared" and anomaly.sentence.startswith("accepted as normal by "):
            said.append("accepted")
        said.append(event)
        if anomaly.rule == "silence" and event == "raised":
            self.silences.add(anomaly.id)
        if event != "updated" and said.count(event) > 1:
            return f"{anomaly.rule} {anomaly.id} was {event} {said.count(event)} times"
        is_whole = anomaly.rule == "silence" or anomaly.device.startswith(TOLD)
        if is_whole and event in {"updated", "cleared"} and "raised" not in said:
            return f"{anomaly.rule} {anomaly.id} was {event} and not raised"
        if event == "updated" and "cleared" in said:
            return f"{anomaly.rule} {anomaly.id} was updated after it was cleared"
        return ""

    def answered(self, asked: Asked) -> bool:
        """Whether the command was answered."""
        return ANSWERS[asked[1]] in self._said.get(asked[0], ())

    def overtaken(self, asked: Asked) -> bool:
        """Whether another anomaly took the place of that one, so that nobody answers."""
        return self._newest[self._sensor[asked[0]]] != asked[0]
