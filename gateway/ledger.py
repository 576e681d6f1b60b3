"""The ledger: per source, what came in and what became of it. Two balances that must always hold.

    payloads: received = decoded + ignored + dead_lettered
    readings: made = delivered + spooled + in_memory + refused + dropped (by reason)

What waits (`spooled` on disk, `in_memory`) is counted where it waits, not here: so the balance can fail, and a
reading that got lost between two places shows.
"""

from collections.abc import Mapping
from typing import Any

import msgspec


class SourceLedger(msgspec.Struct):
    """Totals of one source.

    Attributes:
        received, decoded, ignored, dead_lettered: payloads.
        made, delivered, refused: readings; `made` includes what was on disk at the start; `refused` are those that Kafka will never take.
        dropped: readings given up, by reason.
        dead_letters_dropped: dead letters given up because theirs was full; they are still counted as dead_lettered.
    """

    received: int = 0
    decoded: int = 0
    ignored: int = 0
    dead_lettered: int = 0
    made: int = 0
    delivered: int = 0
    refused: int = 0
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    dead_letters_dropped: int = 0

    def __add__(self, other: "SourceLedger") -> "SourceLedger":
        """The totals of both together."""
        dropped = dict(self.dropped)
        for reason, count in other.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
        return SourceLedger(  # written out, as it is done for each source and round
            self.received + other.received,
            self.decoded + other.decoded,
            self.ignored + other.ignored,
            self.dead_lettered + other.dead_lettered,
            self.made + other.made,
            self.delivered + other.delivered,
            self.refused + other.refused,
            dropped,
            self.dead_letters_dropped + other.dead_letters_dropped,
        )


class Ledger:
    """The totals of all sources. Used from the event loop's thread only.

    Attributes:
        sources: by name, what happened since the daemon started.
    """

    def __init__(self) -> None:
        self.sources: dict[str, SourceLedger] = {}
        self._earlier: dict[str, SourceLedger] = {}
        self._found: dict[str, int] = {}

    def source(self, name: str) -> SourceLedger:
        """The totals of one source, made when first asked for."""
        return self.sources.setdefault(name, SourceLedger())

    def found(self, counts: Mapping[str, int]) -> None:
        """This many readings of each source were on disk when the daemon started."""
        for name, count in counts.items():
            self.source(name).made += count
            self._found[name] = self._found.get(name, 0) + count

    def delivered(self, counts: Mapping[str, int]) -> None:
        """Kafka acknowledged this many readings of each source."""
        for name, count in counts.items():
            self.source(name).delivered += count

    def refused(self, name: str) -> None:
        """Kafka will never take this reading of a source."""
        self.sources[name].refused += 1

    def dropped(self, counts: Mapping[str, int], reason: str) -> None:
        """This many readings of each source were given up."""
        for name, count in counts.items():
            dropped = self.source(name).dropped
            dropped[reason] = dropped.get(reason, 0) + count

    def resume(self, earlier: Mapping[str, SourceLedger]) -> None:
        """Go on from the totals of the runs before this one, as they stood at the position in Kafka.

        Called once, before this run sends anything: what it has delivered by then was only taken off the spool, as
        those runs had delivered it, and is in their totals already.
        """
        self._earlier = {name: one + SourceLedger() for name, one in earlier.items()}
        for name, one in self.sources.items():
            again = SourceLedger(made=-one.delivered, delivered=-one.delivered)
            self._earlier[name] = self._earlier.get(name, SourceLedger()) + again

    def totals(self) -> dict[str, SourceLedger]:
        """By source, everything: of this run and of those before it."""
        names = dict.fromkeys([*self.sources, *self._earlier])
        empty = SourceLedger()
        return {name: self.sources.get(name, empty) + self._earlier.get(name, empty) for name in names}

    def since_start(self) -> dict[str, Any]:
        """By source, as plain data, what this run did. `made` are the readings of this run, without those found on disk.

        These only rise, and begin at 0; the totals of all runs are known only once Kafka has answered.
        """
        return {
            name: {
                "payloads": {
                    "decoded": one.decoded,
                    "ignored": one.ignored,
                    "dead_lettered": one.dead_lettered,
                },
                "readings": {
                    "made": one.made - self._found.get(name, 0),
                    "delivered": one.delivered,
                    "refused": one.refused,
                    "dropped": dict(one.dropped),
                },
                "dead_letters_dropped": one.dead_letters_dropped,
            }
            for name, one in self.sources.items()
        }

    def snapshot(self, in_memory: Mapping[str, int], spooled: Mapping[str, int]) -> dict[str, Any]:
        """The whole ledger as plain data, with what waits now (readings by source), and whether it balances."""
        sources = {
            name: _one(total, in_memory.get(name, 0), spooled.get(name, 0))
            for name, total in self.totals().items()
        }
        return {"sources": sources, "balanced": all(source["balanced"] for source in sources.values())}


def _one(total: SourceLedger, in_memory: int, spooled: int) -> dict[str, Any]:
    outcomes = total.delivered + spooled + in_memory + total.refused + sum(total.dropped.values())
    payloads = total.decoded + total.ignored + total.dead_lettered
    return {
        "payloads": {
            "received": total.received,
            "decoded": total.decoded,
            "ignored": total.ignored,
            "dead_lettered": total.dead_lettered,
        },
        "readings": {
            "made": total.made,
            "delivered": total.delivered,
            "spooled": spooled,
            "in_memory": in_memory,
            "refused": total.refused,
            "dropped": dict(total.dropped),
        },
        "dead_letters_dropped": total.dead_letters_dropped,
        "balanced": total.received == payloads and total.made == outcomes,
    }
