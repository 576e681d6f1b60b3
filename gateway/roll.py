"""The devices of one source: when each was last heard, and which have fallen silent."""

from collections.abc import Mapping
from typing import Any, Final

from devices.reading import Quality, Reading
from gateway.rhythm import BURST, FLOOR, Rhythm
from gateway.sources import SourceSpec, admits

FORGET_AFTER: Final = 86_400.0
"""Seconds after which a silent device is forgotten: by then everybody knows, or it was taken away for good."""

AWAY: Final = float("inf")
_PATTERN: Final = frozenset("*?[")


class Roll:
    """Times are in seconds of the monotonic clock.

    Attributes:
        name: of the source.
        devices: by name, the least recently heard first.
        silent: those of them that fell silent.
        missing: those that the configuration names and that were not heard since the start.
        overdue: whether the missing ones have had time enough.
        here_since: since when the source has been here without a break; AWAY while it is not.
        all_silent: whether all that can be judged are silent, two or more of them.
        forgotten: how many were, by themselves or on request.
    """

    def __init__(self, spec: SourceSpec) -> None:
        self.name = spec.source.name
        self.devices: dict[str, Rhythm] = {}
        self.silent: dict[str, Rhythm] = {}
        self.here_since = AWAY
        self.all_silent = False
        self.forgotten = 0
        self.expect(spec)

    def expect(self, spec: SourceSpec) -> None:
        """The devices that this one names should exist; those that it lets in no more are forgotten."""
        strangers = [device for device in self.devices if not admits(spec.devices, device)]
        for device in strangers:
            self.forget(device)
        self.missing = {name for name in spec.devices if not _PATTERN & set(name)} - self.devices.keys()
        self.overdue = False
        # What says nothing about whether a device lives now. A simulator that is the source itself has live devices.
        self._lifeless = Quality.REDELIVERED | Quality.RETAINED
        if spec.stand_in is not None:
            self._lifeless |= Quality.SIMULATED

    def leave(self) -> None:
        """The source is away: nothing can be said of its devices."""
        for rhythm in self.silent.values():
            rhythm.silent_since = 0.0
        self.silent.clear()
        self.here_since = AWAY
        self.overdue = self.all_silent = False

    def mark(self, readings: Mapping[str, Reading], now: float) -> tuple[list[str], list[tuple[str, float]]]:
        """These devices were heard: by name, the last reading of each.

        Returns those that are not on the roll, which this does not change; and those that were silent, with for how
        many seconds.
        """
        new: list[str] = []
        back: list[tuple[str, float]] = []
        devices, lifeless = self.devices, self._lifeless
        for device, reading in readings.items():
            quality = reading.quality
            if quality is not Quality.GOOD and quality & lifeless:
                continue
            rhythm = devices.get(device)
            if rhythm is None:
                new.append(device)
            elif now - rhythm.counted < BURST:
                rhythm.last = now
            else:
                if rhythm.counted >= self.here_since:
                    rhythm.learn(now - rhythm.counted)
                if rhythm.silent_since:
                    back.append((device, now - rhythm.last))
                    rhythm.silent_since = 0.0
                    del self.silent[device]
                    self.all_silent = False
                rhythm.last = rhythm.counted = now
                devices[device] = devices.pop(device)  # at the end: see Attributes
        return new, back

    def add(self, device: str, now: float) -> None:
        """A new device was heard."""
        self.missing.discard(device)
        self.devices[device] = Rhythm(now)

    def look(self, now: float) -> tuple[list[str], list[str]]:
        """Find who has fallen silent, and whether all have; returns who did just now, and who was forgotten for it."""
        fallen: list[str] = []
        gone: list[str] = []
        all_silent = True
        here_since = self.here_since
        for device, rhythm in self.devices.items():
            if now - rhythm.counted <= FLOOR:
                all_silent = False
                break
            if rhythm.silent_since:
                if now - rhythm.silent_since > FORGET_AFTER:
                    gone.append(device)
                continue
            limit = rhythm.limit()
            if now - max(rhythm.counted, here_since) > limit:
                rhythm.silent_since = now
                self.silent[device] = rhythm
                fallen.append(device)
            elif limit != AWAY:
                all_silent = False
        for device in gone:
            self.forget(device)
        self.all_silent = all_silent and len(self.silent) > 1
        return fallen, gone

    def forget(self, device: str) -> bool:
        """As if it had never been there, and were not expected; returns whether it was."""
        found = device in self.devices or device in self.missing
        self.missing.discard(device)
        self.silent.pop(device, None)
        self.devices.pop(device, None)
        self.forgotten += found
        return found

    def row(self, device: str, now: float) -> dict[str, Any]:
        """What is known of a device. Its keys are the contract of `gatewayctl devices list --json` (docs/status.md)."""
        rhythm = self.devices.get(device)
        if rhythm is None:
            state, age, usual = "missing" if self.overdue else "awaited", None, None
        else:
            age, usual = now - rhythm.last, rhythm.usual()
            here = self.here_since != AWAY
            state = "silent" if rhythm.silent_since else rhythm.habit() if here else "away"
        return {
            "source": self.name,
            "device": device,
            "state": state,
            "last_heard_age_s": None if age is None else round(age, 1),
            "usual_interval_s": None if usual is None else round(usual, 1),
        }
