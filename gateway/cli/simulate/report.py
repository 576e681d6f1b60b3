"""What a simulation sent, for people and for judges."""

from typing import Final

import msgspec

_ENOUGH: Final = 0.99
"""The part of its rate that a simulation must reach to have kept up."""


class Injected(msgspec.Struct):
    """What one kind of fault or trouble came to.

    Attributes:
        faults: how often it was injected.
        readings: that it changed, garbled, delayed or suppressed.
    """

    faults: int = 0
    readings: int = 0


class Report(msgspec.Struct):
    """What one simulation came to. What a gateway should have received: `readings`, and `garbled_payloads` it cannot read.

    Attributes:
        seconds: how long data flowed.
        asked, reached: readings a second; asked is 0 for a replay.
        payloads, readings, bytes: sent whole; bytes on the wire.
        garbled_payloads, garbled_readings: sent, but overwritten or cut off on purpose.
        suppressed: readings that were never sent, on purpose.
        left_out: readings that were never sent because nobody took them: the line was full.
        rejected: rows of a replayed file that could not be read.
        repeated: payloads that were sent once more, after a lost connection; the gateway may have them twice.
        lost: how often the connection was lost, not on purpose.
        unconfirmed: payloads that the other side did not confirm until the end: not acknowledged by the broker, not
            read from the line.
        faults: by kind.
    """

    asked: float = 0.0
    reached: float = 0.0
    seconds: float = 0.0
    payloads: int = 0
    readings: int = 0
    bytes: int = 0
    garbled_payloads: int = 0
    garbled_readings: int = 0
    suppressed: int = 0
    left_out: int = 0
    rejected: int = 0
    repeated: int = 0
    lost: int = 0
    unconfirmed: int = 0
    faults: dict[str, Injected] = {}

    def sentences(self) -> list[str]:
        """It for people."""
        said = [
            f"{self.readings} readings in {self.payloads} payloads ({self.bytes} bytes) in {self.seconds:.1f} s",
        ]
        if self.asked:
            kept = self.reached >= _ENOUGH * self.asked
            verb = "kept up" if kept else "could not keep up"
            said.append(f"{verb}: reached {self.reached:,.0f} of {self.asked:,.0f} readings/s")
        said += _told(
            (self.garbled_payloads, f"payloads garbled on purpose, with {self.garbled_readings} readings"),
            (self.suppressed, "readings suppressed on purpose"),
            (self.left_out, "readings left out: nobody took them"),
            (self.rejected, "rows of the file could not be read"),
            (self.lost, "times the connection was lost"),
            (self.repeated, "payloads sent once more after that"),
        )
        said += [
            f"{kind}: {one.faults} injected, {one.readings} readings" for kind, one in self.faults.items()
        ]
        return said

    def problems(self) -> list[str]:
        """What did not arrive, one sentence each; none: all did."""
        return _told(
            (self.unconfirmed, "payloads were not confirmed by the other side"),
            (self.left_out, "readings were left out, because nobody took what was sent"),
        )


def _told(*counts: tuple[int, str]) -> list[str]:
    return [f"{count} {what}" for count, what in counts if count]
