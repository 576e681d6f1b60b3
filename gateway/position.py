"""The position: how far Kafka has what a spool holds, and who says so. It travels with the readings, in one transaction.

Kafka keeps it as the offset of a consumer group without members, with up to 4 KB of text beside it.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.ledger import SourceLedger

VERSION: Final = 1

METADATA_LIMIT: Final = 4096
"""Bytes of text that Kafka keeps beside an offset, unless its administrator allows less."""

OTHERS: Final = "(others)"
"""Stands for the sources whose totals had no room of their own; no source can have this name."""


class Position(msgspec.Struct, frozen=True):
    """How far Kafka is.

    Attributes:
        spool: id of the spool whose sequences count here.
        run: id of the run of the daemon that committed it.
        epoch: of that run.
        last: everything up to this sequence is in Kafka.
        unclean_stops: how often a run before this one ended without its last word.
        ended: whether this is the last word of its run.
        ledger: the totals of each source as they are once this is committed; `made` is not carried.
    """

    spool: str
    run: str
    epoch: int
    last: int
    unclean_stops: int
    ended: bool
    ledger: Mapping[str, SourceLedger]

    def metadata(self) -> str:
        """Everything but `last`, as text of at most METADATA_LIMIT bytes; if need be the smallest sources are summed."""
        totals = {name: _pack(one) for name, one in self.ledger.items() if name != OTHERS}
        others = self.ledger.get(OTHERS, SourceLedger())
        by_size = sorted(totals, key=lambda name: self.ledger[name].received, reverse=True)
        while True:
            shown = {**totals, OTHERS: _pack(others)} if others != SourceLedger() else totals
            text = _ENCODER.encode(
                [VERSION, self.spool, self.run, self.epoch, self.unclean_stops, self.ended, shown]
            ).decode()
            over = len(text.encode()) - METADATA_LIMIT
            if over <= 0 or not by_size:
                return text
            while over > 0 and by_size:
                smallest = by_size.pop()
                over -= len(_ENCODER.encode({smallest: totals.pop(smallest)}))
                others = others + self.ledger[smallest]


def position_of(last: int, metadata: str) -> Position | None:
    """The position that Kafka holds; None if its text is none of ours."""
    try:
        version, spool, run, epoch, unclean_stops, ended, packed = _DECODER.decode(metadata)
        if version != VERSION:
            return None
        totals = {name: _unpack(one) for name, one in packed.items()}
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None
    return Position(spool, run, epoch, last, unclean_stops, ended, totals)


_Packed = tuple[int, int, int, int, int, int, int, dict[str, int]]
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(tuple[int, str, str, int, int, bool, dict[str, _Packed]])


def _pack(one: SourceLedger) -> _Packed:
    payloads = (one.received, one.decoded, one.ignored, one.dead_lettered)
    return (*payloads, one.delivered, one.refused, one.dead_letters_dropped, one.dropped)


def _unpack(packed: _Packed) -> SourceLedger:
    received, decoded, ignored, dead_lettered, delivered, refused, letters_dropped, dropped = packed
    return SourceLedger(
        received=received,
        decoded=decoded,
        ignored=ignored,
        dead_lettered=dead_lettered,
        delivered=delivered,
        refused=refused,
        dead_letters_dropped=letters_dropped,
        dropped=dropped,
        made=delivered + refused + sum(dropped.values()),
    )
