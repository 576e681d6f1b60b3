"""Storms: when many sensors of one gateway raise anomalies at once, that is one thing to look at and not hundreds."""

import hashlib
from typing import Final

import msgspec

from gateway.detect.events import Origin, Sensor, anomaly_id
from gateway.detect.text import duration
from gateway.wire import VERSION, Anomaly

SENSORS: Final = 10
WITHIN: Final = 60_000_000_000
"""So many sensors that raise anomalies within so many nanoseconds are a storm; after so long without another it is over. So it
is when the clock was set back by as much, or nobody would see its end before that time comes again."""

RULE: Final = "storm"


class Storm(msgspec.Struct):
    """What one gateway raised of late.

    Attributes:
        raised: time and sensor of each, while there is no storm; sensors are digests of their names.
        id: of the storm; empty: there is none.
        since, spool, seq: of the first anomaly that made it one.
        key: of that too; all records of a storm have it, so that they stay in order.
        last: time of the newest anomaly.
        sensors, count: how many raised how many anomalies; said: sensors when last said.
    """

    raised: list[tuple[int, str]] = []
    id: str = ""
    since: int = 0
    spool: str = ""
    seq: int = 0
    last: int = 0
    sensors: set[str] = set()
    count: int = 0
    said: int = 0
    key: bytes | None = None


Word = tuple[bytes | None, Anomaly]
"""A record: its key and its value."""


def _short(sensor: Sensor) -> str:
    """Tells it from the others of its gateway. A record with the names of all that are in a storm could be too large for Kafka."""
    return hashlib.blake2b(f"{sensor.device}\0{sensor.sensor}".encode(), digest_size=6).hexdigest()


class Storms:
    """The storms of all gateways in one partition. Times are those of the gateway's clock, as it stamps what it receives."""

    def __init__(self) -> None:
        self._storms: dict[str, Storm] = {}

    def raised(self, sensor: Sensor, at: int, first: Origin) -> tuple[str, Word | None]:
        """An anomaly was raised: the id of the storm it is in, if any, and what is to be said of that before."""
        gateway, name = sensor.gateway, _short(sensor)
        storm = self._storms.setdefault(gateway, Storm())
        if not storm.id:
            storm.raised = [one for one in storm.raised if abs(at - one[0]) <= WITHIN]
            storm.raised.append((at, name))
            sensors = {each for _, each in storm.raised}
            if len(sensors) < SENSORS:
                return "", None
            storm.id = anomaly_id(RULE, gateway, "", "", first)
            storm.since, storm.spool, storm.seq = (
                min(time for time, _ in storm.raised),
                first.spool,
                first.seq,
            )
            storm.sensors, storm.count, storm.key = sensors, len(storm.raised), sensor.key
            storm.said, storm.last, storm.raised = len(sensors), at, []
            return storm.id, self._record(gateway, storm, "raised", at, "; more of them are in this storm")
        storm.last = max(at, storm.last)
        storm.sensors.add(name)
        storm.count += 1
        if len(storm.sensors) >= 2 * storm.said:
            before, storm.said = storm.said, len(storm.sensors)
            return storm.id, self._record(gateway, storm, "updated", at, f"; {before} when last said")
        return storm.id, None

    def passed(self, gateway: str, at: int, *, read: bool) -> Word | None:
        """It is `at` for this gateway: what is to be said if its storm is over.

        `read`: by the newest reading. What else is told of a gateway may be of an earlier time.
        """
        storm = self._storms.get(gateway)
        if storm is None:
            return None
        if not storm.id:
            if storm.raised and at - storm.raised[-1][0] > WITHIN:
                del self._storms[gateway]
            return None
        if at - storm.last <= WITHIN and not (read and storm.last - at > WITHIN):
            return None
        del self._storms[gateway]
        more = (
            f"no more since {duration(at - storm.last)}"
            if at > storm.last
            else "the clock was set back since"
        )
        return self._record(gateway, storm, "cleared", at, f"; {more}")

    def silent(self, gateway: str) -> Word | None:
        """Nothing more comes of this gateway: what is to be said if it is in a storm."""
        storm = self._storms.get(gateway)
        if storm is None or not storm.id:
            return None
        del self._storms[gateway]
        more = "; nothing was heard of the gateway since"
        return self._record(gateway, storm, "cleared", storm.last, more)

    def save(self, gateway: str) -> Storm:
        """What is known of one gateway."""
        return self._storms.get(gateway) or Storm()

    def load(self, gateway: str, storm: Storm) -> None:
        """Put back what was saved."""
        if storm.raised or storm.id:
            self._storms[gateway] = storm

    def forget(self, gateway: str) -> None:
        """None of its sensors is remembered."""
        self._storms.pop(gateway, None)

    def _record(self, gateway: str, storm: Storm, event: str, at: int, more: str) -> Word:
        lasted = duration(storm.last - storm.since)
        sentence = f"{len(storm.sensors)} sensors of gateway {gateway} raised {storm.count} anomalies within {lasted}{more}"
        anomaly = msgspec.convert(
            {
                "v": VERSION,
                "id": storm.id,
                "event": event,
                "rule": RULE,
                "grade": "alarm",
                "gateway": gateway,
                "device": "",
                "sensor": "",
                "value": len(storm.sensors),
                "sentence": sentence,
                "since": storm.since,
                "time": at,
                "spool": storm.spool,
                "seq": storm.seq,
                "score": float(len(storm.sensors)),
                "first_spool": storm.spool,
                "first_seq": storm.seq,
                "storm": storm.id,
            },
            Anomaly,
        )
        return storm.key, anomaly
