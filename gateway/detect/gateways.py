"""The rule `gateway-silence`: a gateway that says nothing is one anomaly, and not one for each of its sensors."""

import re
import zlib
from typing import Final

import msgspec

from gateway.detect.events import Origin, Said, anomaly_id, by_whom, type_of_event
from gateway.detect.snapshot import StateError, StrangeKeyError
from gateway.detect.text import duration
from gateway.kafka.statuses import Seen, Sight
from gateway.wire import GATEWAY_NAME, VERSION, Anomaly, Command

RULE: Final = "gateway-silence"

TIMES: Final = 3
LEAST: Final = 60.0
"""A gateway is silent after so many of its intervals without a status, and not before so many seconds."""

_KIND: Final = b"\0gateway-silence\0"
_ROW_VERSION: Final = 1


class Silence(msgspec.Struct):
    """The silence of one gateway, as it stands in the state topic from when it is raised until the next status.

    Attributes:
        id: of the anomaly.
        place, since: of the last status before; see statuses.Seen.
        silent: for how many seconds, when it was raised.
        open: raised and not cleared: somebody may have accepted it.
        said: verbs of commands that it has had.
    """

    v: int
    id: str
    place: tuple[int, int]
    since: int
    silent: float
    open: bool = True
    said: list[str] = []


_SILENCE: Final = msgspec.json.Decoder(Silence)


class Gateways:
    """The silences that one partition speaks of. Pure: time is that of what it is shown.

    The time that decides is that in which this machine has read the topic and nothing came, so that no clock that is wrong
    makes a silence, nor a Kafka that is away. The times in the sentences are Kafka's.
    """

    def __init__(self) -> None:
        self._silences: dict[str, Silence] = {}
        self._changed: dict[str, None] = {}

    @property
    def open(self) -> int:
        """Silences that are open now."""
        return sum(one.open for one in self._silences.values())

    def look(self, sight: Sight, partition: int) -> list[Said]:
        """What there is to say of those whose place is this partition: each silence is raised once, and cleared once."""
        said: list[Said] = []
        for gateway, silence in list(self._silences.items()):
            seen = sight.seen.get(gateway)
            if seen is not None and seen.place != silence.place:
                said += self._back(gateway, silence, seen)
        for gateway, seen in sight.seen.items():
            if not is_quiet(seen, sight) or seen.stopped or gateway in self._silences:
                continue
            if _place(gateway, sight.partitions) == partition:
                said.append(self._raise(gateway, seen, sight.at - seen.read + seen.age))
        return said

    def command(self, command: Command) -> list[Said]:
        """See Bank."""
        found = next(((name, one) for name, one in self._silences.items() if one.id == command.id), None)
        if found is None or command.verb in found[1].said:
            return []
        gateway, silence = found
        silence.said.append(command.verb)
        self._changed[gateway] = None
        event: type_of_event
        match command.verb:
            case "ack":
                event, text = "acknowledged", f"acknowledged by {by_whom(command)}"
            case "fault":
                event, text = "fault", f"called a real fault by {by_whom(command)}"
            case "accept":
                event = "cleared" if silence.open else "accepted"
                silence.open = False
                text = f"accepted as normal by {by_whom(command)}: gateway {gateway} is not missed until it is heard again"
        return [_said(gateway, silence, event, text, command.time, by_whom(command))]

    def changed(self) -> list[tuple[bytes, bytes]]:
        """See Bank."""
        names, self._changed = list(self._changed), {}
        return [
            (_KIND + name.encode(), msgspec.json.encode(one) if (one := self._silences.get(name)) else b"")
            for name in names
        ]

    @staticmethod
    def has(key: bytes) -> bool:
        """Whether this is the key of one of its rows, and not of the bank's."""
        return key.startswith(_KIND)

    def restore(self, key: bytes, value: bytes) -> None:
        """See Bank."""
        gateway = key.removeprefix(_KIND).decode(errors="replace")
        if not re.search(GATEWAY_NAME, gateway):
            raise StrangeKeyError("no gateway is called so")
        try:
            silence = _SILENCE.decode(value)
        except msgspec.MsgspecError as error:
            raise StateError(f"damaged: {error}") from None
        if silence.v != _ROW_VERSION:
            raise StateError(f"version {silence.v} of a silence; this program knows version {_ROW_VERSION}")
        self._silences[gateway] = silence

    def _raise(self, gateway: str, seen: Seen, silent: float) -> Said:
        id_ = anomaly_id(RULE, gateway, "", "", Origin(str(seen.at), seen.place[1], seen.at))
        silence = Silence(_ROW_VERSION, id_, seen.place, seen.at, silent)
        self._silences[gateway], self._changed[gateway] = silence, None
        for_, every = duration(round(silent * 1e9)), duration(round(seen.every * 1e9))
        text = f"gateway {gateway} is silent for {for_}, usually a status every {every}; its sensors are not judged"
        return _said(gateway, silence, "raised", text, seen.at + round(silent * 1e9))

    def _back(self, gateway: str, silence: Silence, seen: Seen) -> list[Said]:
        del self._silences[gateway]
        self._changed[gateway] = None
        if not silence.open:
            return []
        text = f"gateway {gateway} is back after {duration(max(0, seen.at - silence.since))} of silence"
        text += ", and was stopped" if seen.stopped else ""
        return [_said(gateway, silence, "cleared", text, seen.at)]


def is_quiet(seen: Seen, sight: Sight) -> bool:
    """Whether nothing was heard of a gateway for too long, be it that it was stopped."""
    return sight.at - max(seen.read, sight.since) > max(LEAST, TIMES * seen.every)


def _place(gateway: str, partitions: int) -> int:
    """The partition that speaks of a gateway; none while it is not known how many there are."""
    return zlib.crc32(gateway.encode()) % partitions if partitions else -1


def _said(gateway: str, silence: Silence, event: type_of_event, sentence: str, at: int, by: str = "") -> Said:
    anomaly = Anomaly(
        v=VERSION,
        id=silence.id,
        event=event,
        rule=RULE,
        grade="alarm",
        gateway=gateway,
        device="",
        sensor="",
        value=silence.silent if event == "raised" else max(0, at - silence.since) / 1e9,
        sentence=sentence,
        since=silence.since,
        time=at,
        spool="",
        seq=0,
        score=silence.silent if event == "raised" else 0.0,
        unit="s",
        by=by,
    )
    return Said(-1, gateway.encode(), anomaly)
