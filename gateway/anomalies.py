"""What the anomalies topic says as a whole: each anomaly as it stands now. Touches no network."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec

from gateway.wire import Anomaly

type_of_state = Literal["open", "acknowledged", "cleared"]
type_of_verb = Literal["ack", "accept", "fault"]

SHORTEST: Final = 7
"""Characters of an id that are shown at least."""

NAMED: Final = 5
"""So many ids are named in a message."""

ANSWERS: Final[Mapping[type_of_verb, tuple[str, ...]]] = {
    "ack": ("acknowledged",),
    "accept": ("accepted", "cleared"),
    "fault": ("fault",),
}
"""By the verb of a command, the events that answer it."""

SEEN: Final = ("acknowledged", "accepted", "fault")
"""Events that show that somebody has seen an anomaly: who calls it a real fault has."""

STORM: Final = "storm"
"""The rule whose anomalies stand for many others."""


class NoSuchAnomaly(Exception):
    """An id names none, or more than one. The text says so, on one printable line."""


class Story(msgspec.Struct):
    """One anomaly.

    Attributes:
        last: its newest record that says how the sensor is.
        raised: when it was raised, in nanoseconds since 1970 UTC; of the oldest record that is there, if that one is gone.
        over: it is cleared.
        seen: somebody has seen it.
        heard: what people said of it that counts, and who; of `accept` and `fault` the last one counts.
    """

    last: Anomaly
    raised: int
    over: bool = False
    seen: bool = False
    heard: dict[type_of_verb, str] = {}

    @property
    def state(self) -> type_of_state:
        """How it stands."""
        if self.over:
            return "cleared"
        return "acknowledged" if self.seen else "open"

    def take(self, record: Anomaly) -> None:
        """Its next record."""
        if record.event in {"raised", "updated", "cleared"}:
            self.last = record
        # Of one that is open `accepted` changes nothing: a limit stays. Else it was cleared before.
        accepted = record.event == "accepted" and self.last.event not in {"raised", "updated"}
        self.over = self.over or record.event == "cleared" or accepted
        self.seen = self.seen or record.event in SEEN
        verb = _verb(record)
        if verb is not None and verb != "ack":
            self.heard = {one: by for one, by in self.heard.items() if one == "ack"}
        if verb is not None:
            self.heard[verb] = record.by


class Anomalies:
    """All anomalies of the topic, from its records in order within each partition."""

    def __init__(self, wanted: Callable[[Story], bool] = lambda _: True) -> None:
        """Of those that are cleared only the `wanted` are kept, and the ids of all: a topic may be long."""
        self._wanted = wanted
        self._stories: dict[str, Story | None] = {}
        self._ids: list[str] = []

    def take(self, record: Anomaly) -> Story:
        """The next record; how its anomaly stands with it."""
        known = self._stories.get(record.id)
        # One that is not kept was cleared, and nothing that is said of it later opens it again.
        story = known or Story(record, record.time, over=record.id in self._stories)
        if record.id not in self._stories:
            self._ids.clear()
        story.take(record)
        self._stories[record.id] = None if story.over and not self._wanted(story) else story
        return story

    def find(self, prefix: str) -> Story:
        """The one whose id begins so, of those that are kept.

        Raises:
            NoSuchAnomaly: see there.
        """
        ids = self._sorted()
        prefix = prefix.strip().lower()
        at = bisect_left(ids, prefix)
        if prefix and at < len(ids) and ids[at].startswith(prefix):
            found = self._stories[ids[at]]
            if ids[at] == prefix or at + 1 == len(ids) or not ids[at + 1].startswith(prefix):
                if found is not None:
                    return found
            else:
                some = [one for one in ids[at : at + NAMED + 1] if one.startswith(prefix)]
                names = ", ".join(self.short(one) for one in some[:NAMED])
                more = " and more" if len(some) > NAMED else ""
                raise NoSuchAnomaly(
                    f"{prefix!r} is the beginning of several ids: {names}{more}; write more of it"
                )
        raise NoSuchAnomaly(
            f"no anomaly has an id that begins with {prefix!r}; `gatewayctl anomalies --all` shows what there is"
        )

    def short(self, name: str) -> str:
        """The shortest beginning of an id that names no other, of SHORTEST characters at least."""
        ids = self._sorted()
        at = bisect_left(ids, name)
        beside = ids[max(0, at - 1) : at] + ids[at + 1 : at + 2]
        shared = max((_shared(name, other) for other in beside), default=0)
        return name[: max(SHORTEST, shared + 1)]

    def stories(self) -> list[Story]:
        """Those that are open, and those that are cleared and wanted, the oldest first."""
        kept = [one for one in self._stories.values() if one is not None and self._wanted(one)]
        return sorted(kept, key=lambda one: (one.last.since, one.last.id))

    def _sorted(self) -> list[str]:
        if not self._ids:
            self._ids = sorted(self._stories)
        return self._ids


def _verb(record: Anomaly) -> type_of_verb | None:
    """Of the command that the record answers."""
    if record.event == "cleared" and not record.by:
        return None
    return next((verb for verb, events in ANSWERS.items() if record.event in events), None)


def _shared(one: str, other: str) -> int:
    """With how many characters both begin."""
    differ = (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1])
    return next(differ, min(len(one), len(other)))


def folded(stories: Iterable[Story]) -> list[tuple[Story, list[Story]]]:
    """The same with the anomalies of a storm behind the one that stands for them; alone, none stand behind it.

    A storm whose own record is not among them is told by the first of its anomalies.
    """
    stories = list(stories)
    shown: dict[str, tuple[Story, list[Story]]] = {one.last.id: (one, []) for one in stories if is_storm(one)}
    for one in stories:
        storm = one.last.storm
        if is_storm(one):
            shown[one.last.id] = shown.pop(one.last.id)  # in its place in the order
        elif storm:
            shown.setdefault(storm, (one, []))[1].append(one)
        else:
            shown[one.last.id] = one, []
    return [(head, behind if len(behind) > 1 or is_storm(head) else []) for head, behind in shown.values()]


def is_storm(story: Story) -> bool:
    """Whether it stands for others."""
    return story.last.rule == STORM


def state_of(head: Story, behind: Iterable[Story]) -> type_of_state:
    """How one of folded() stands: nobody speaks of a storm itself, but of all that is in it."""
    states = {one.state for one in behind} or {head.state}
    return next(one for one in ("open", "acknowledged", "cleared") if one in states)
