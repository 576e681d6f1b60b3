"""For tests of who is heard: sources that are here or away, batches of given devices, and a clock that the test sets."""

from collections.abc import Iterable, Sequence

from devices.reading import Quality, Reading
from gateway.feed import Feed
from gateway.presence import Presence
from gateway.sources import SourceSpec
from gateway.spool import Batch
from gateway.testing import ScriptedSource, connects


def batch_of(*keys: tuple[str, str], quality: Quality = Quality.GOOD) -> Batch:
    """A batch with one reading for each source and device."""
    batch = Batch()
    for source, device in keys:
        batch.readings.append(Reading(device, "t", 1.0, 1, source, 1, "", quality))
        batch.counts[source] += 1
    return batch


class Hall:
    """Presence over sources that are connected at time 0, and time that passes second by second."""

    def __init__(self, *sources: str, devices: Sequence[str] = (), stand_in: bool = False) -> None:
        specs = [
            SourceSpec(
                ScriptedSource(connects, name=name),
                ScriptedSource(connects, name=name) if stand_in else None,
                devices=devices,
            )
            for name in sources or ("plant",)
        ]
        self.now = 0.0
        self.feeds = [Feed(spec.source) for spec in specs]
        self.presence = Presence(specs, self.now)
        for feed in self.feeds:
            self.come(feed)
        self.waiting: list[str] = []
        self.tick()

    def come(self, feed: Feed) -> None:
        """The source is connected from now on."""
        feed.state, feed.since = "connected", self.now

    def leave(self, feed: Feed) -> None:
        """The source is away from now on."""
        feed.state, feed.since = "lost", self.now

    def tick(self) -> None:
        """What happens once a second."""
        self.presence.tick(self.now, self.feeds, waiting=self.waiting)

    def hear(self, *keys: tuple[str, str], quality: Quality = Quality.GOOD) -> None:
        """A batch with these comes now."""
        self.presence.heard(batch_of(*keys, quality=quality), self.now)

    def wait(self, seconds: float, *keys: tuple[str, str], every: float = 0.0) -> None:
        """Let time pass; each `every` seconds these are heard."""
        end, due = self.now + seconds, self.now + every
        while self.now < end:
            self.now += 1.0
            if keys and self.now >= due:
                self.hear(*keys)
                due += every
            self.tick()

    def state(self, device: str = "boiler-7", source: str = "plant") -> str:
        """What the list of devices says of one."""
        return str(self.presence.rolls[source].row(device, self.now)["state"])

    def reasons(self, but: Iterable[str] = ()) -> list[str]:
        """What the status says."""
        return list(self.presence.reasons(self.now, list(but)))
