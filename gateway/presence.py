"""Which devices there are, when each was last heard, and which have fallen silent.

Fed once per batch, by live readings only: what stands in for a source, and what a broker kept or sends again, is no sign
of life. All of it is in memory and begins anew with the daemon. Times are in seconds of the monotonic clock.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Final

import structlog

from devices.reading import Reading
from gateway.feed import Feed
from gateway.rhythm import FLOOR
from gateway.roll import AWAY, Roll
from gateway.sources import SourceSpec
from gateway.spans import span
from gateway.spool import Batch

_log = structlog.get_logger()

CAPACITY: Final = 10_000
"""Devices that are remembered, of all sources together; beyond, the least recently heard are forgotten."""

GRACE: Final = 600.0
"""Seconds that a source must have been here before a device that it should bring, and did not, is named."""

STALL: Final = 5.0
"""If so many seconds lie between two ticks, which come once a second, the daemon itself was away: nobody is to blame."""

NAMED: Final = 3
"""Devices that the reasons of the status name; of the others they say how many there are."""

PAGE: Final = 1000
"""Devices of one answer to `gatewayctl devices list`: less than control.RESPONSE_LIMIT, with the longest names too."""

_device: Final[Callable[[Reading], str]] = attrgetter("device")


class Presence:
    """The devices of all sources. Used from the event loop's thread only.

    Attributes:
        rolls: by name of the source, its devices.
    """

    def __init__(self, specs: Iterable[SourceSpec], now: float) -> None:
        self.rolls = {spec.source.name: Roll(spec) for spec in specs}
        self._ticked = now

    def follow(self, specs: Iterable[SourceSpec], changed: Collection[str]) -> None:
        """These are the sources from now on, of which `changed` names those with other settings than before.

        What is known of the devices of a source that stays, stays.
        """
        before = self.rolls
        self.rolls = {spec.source.name: before.get(spec.source.name) or Roll(spec) for spec in specs}
        for spec in specs:
            if spec.source.name in changed:
                self.rolls[spec.source.name].expect(spec)

    def heard(self, batch: Batch, now: float) -> None:
        """Take note of whose readings are in a batch. Of several readings of a device the last one tells."""
        if now - self._ticked > STALL:
            self._begin_anew(now)
        readings = batch.readings
        latest: dict[str, dict[str, Reading]] = defaultdict(dict)
        if len(batch.counts) == 1:  # most often, and cheaper by a third
            [source] = batch.counts
            latest[source] = dict(zip(map(_device, readings), readings, strict=True))
        else:
            for reading in readings:
                latest[reading.source][reading.device] = reading
        for source, of_devices in latest.items():
            roll = self.rolls.get(source)
            if roll is None:  # a source that does not bear its own name: no reason to lose its readings
                continue
            new, back = roll.mark(of_devices, now)
            for device in new:
                self._make_room()
                roll.add(device, now)
            for device, silent_s in back:
                _log.info("device back", source=source, device=device, silent_s=round(silent_s, 1))

    def tick(self, now: float, feeds: Sequence[Feed], *, waiting: Collection[str] = ()) -> None:
        """Look who has fallen silent. Called once a second.

        `waiting` names the sources that are made to wait for room now, and so bring nothing.
        """
        if now - self._ticked > STALL:
            self._begin_anew(now)
        self._ticked = now
        for feed in feeds:
            roll = self.rolls[feed.source.name]
            if feed.state != "connected":
                roll.leave()
                continue
            roll.here_since = feed.since if roll.here_since == AWAY else max(roll.here_since, feed.since)
            if roll.name in waiting:
                roll.here_since = now
            if now - roll.here_since > FLOOR:
                self._look(roll, now)
            if roll.missing and not roll.overdue and now - roll.here_since > GRACE:
                roll.overdue = True
                for device in sorted(roll.missing):
                    _log.warning("device not heard since the start", source=roll.name, device=device)

    def reasons(self, now: float, but: Collection[str] = ()) -> Iterator[str]:
        """What is amiss, in sentences. The sources in `but` are called silent as a whole already."""
        rolls = [roll for roll in self.rolls.values() if roll.name not in but]
        for roll in rolls:
            if roll.all_silent:
                last = span(now - max(rhythm.last for rhythm in roll.silent.values()))
                yield (
                    f"all {len(roll.silent)} devices of source {roll.name} are silent, the last one for {last}: look for "
                    "what they have in common"
                )
        several = [roll for roll in rolls if not roll.all_silent]
        silent = ((roll.name, *one) for roll in several for one in roll.silent.items())
        for source, device, rhythm in islice(silent, NAMED):
            yield (
                f"device {device} (source {source}) silent for {span(now - rhythm.last)}, usually every "
                f"{span(rhythm.usual() or 0.0)}: check its power and its link, or `gatewayctl devices forget` it"
            )
        if (more := sum(len(roll.silent) for roll in several) - NAMED) > 0:
            yield f"and {more} more devices are silent: see `gatewayctl devices list`"
        missing = [(roll.name, device) for roll in rolls if roll.overdue for device in sorted(roll.missing)]
        for source, device in missing[:NAMED]:
            yield (
                f"device {device} (source {source}) not heard since the start: sources.{source}.devices names it; is it "
                "switched on, and does it call itself that?"
            )
        if len(missing) > NAMED:
            yield (
                f"and {len(missing) - NAMED} more devices not heard since the start: see `gatewayctl devices list`"
            )

    def page(self, after: tuple[str, str], now: float) -> tuple[list[dict[str, Any]], bool]:
        """The next devices behind `after`, a source and a device, in that order; and whether there are more."""
        rows: list[dict[str, Any]] = []
        for source in sorted(self.rolls):
            if source < after[0]:
                continue
            roll = self.rolls[source]
            names = sorted(name for name in (*roll.devices, *roll.missing) if (source, name) > after)
            room = PAGE - len(rows)
            rows += [roll.row(name, now) for name in names[:room]]
            if len(names) > room:
                return rows, True
        return rows, False

    def forget(self, device: str, source: str = "") -> list[str]:
        """Forget a device of all sources, or of one; returns of which. It is on the roll again once it is heard."""
        return [
            roll.name for roll in self.rolls.values() if source in {"", roll.name} and roll.forget(device)
        ]

    def _look(self, roll: Roll, now: float) -> None:
        before = roll.all_silent
        fallen, gone = roll.look(now)
        if roll.all_silent and not before:
            _log.warning("all devices silent", source=roll.name, count=len(roll.silent))
        elif not roll.all_silent:
            for device in fallen:
                rhythm = roll.silent[device]
                usual_s = round(rhythm.usual() or 0.0, 1)
                silent_s = round(now - rhythm.last, 1)
                _log.warning(
                    "device silent", source=roll.name, device=device, silent_s=silent_s, usual_s=usual_s
                )
        for device in gone:
            _log.info("device forgotten", source=roll.name, device=device, reason="silent for a day")

    def _make_room(self) -> None:
        if sum(len(roll.devices) for roll in self.rolls.values()) < CAPACITY:
            return
        oldest = min(
            (roll for roll in self.rolls.values() if roll.devices),
            key=lambda roll: next(iter(roll.devices.values())).counted,
        )
        device = next(iter(oldest.devices))
        oldest.forget(device)
        reason = f"more than {CAPACITY} devices, and of them it was heard the longest ago"
        _log.info("device forgotten", source=oldest.name, device=device, reason=reason)

    def _begin_anew(self, now: float) -> None:
        """For a while nobody was heard, and that was our own doing."""
        self._ticked = now
        for roll in self.rolls.values():
            if roll.here_since != AWAY:
                roll.here_since = now
