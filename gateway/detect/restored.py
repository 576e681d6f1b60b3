"""Takes over what the state topic holds of one partition."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
import structlog

from gateway.detect.gateways import Gateways
from gateway.detect.judge import Judge
from gateway.detect.snapshot import StateError, StrangeKeyError
from gateway.kafka.state import Found

_log = structlog.get_logger()

MARKER: Final = b""
"""Key of the record of a partition of the state topic that says from where on its readings must be read again."""

VERSION: Final = 1


class Mark(msgspec.Struct, frozen=True):
    """Value of the marker. Every row of its partition reflects at least everything before `offset`."""

    v: int
    offset: int


_MARK: Final = msgspec.json.Decoder(Mark)


class Restored(NamedTuple):
    """What was taken over beside the rows.

    Attributes:
        mark: from where on readings must be read again; None: the state does not say.
        committed: see Found; None, too, if it is of other readings.
        unusable: rows that could not be taken over.
        gone: keys of records that are to be deleted.
    """

    mark: int | None
    committed: int | None
    unusable: int
    gone: list[bytes]


def restore(found: Found, partition: int, bank: Judge, gateways: Gateways) -> Restored:
    """Fill these with what was found of this partition, and say what is wrong with it."""
    silences = {key: value for key, value in found.rows.items() if Gateways.has(key)}
    rows = {key: value for key, value in found.rows.items() if key not in silences and key != MARKER}
    mark = _mark(found.rows.get(MARKER), partition)
    if mark is not None and mark > found.high:
        _log.warning(
            "state is of another readings topic",
            partition=partition,
            state_is_of=mark,
            end=found.high,
            effect="all sensors of this partition are learnt anew",
        )
        unusable, strange = _restore(gateways, silences, partition)
        return Restored(None, None, unusable, [*strange, *rows])
    unusable, strange = 0, list[bytes]()
    for whose, its in ((gateways, silences), (bank, rows)):
        more, no_rows = _restore(whose, its, partition)
        unusable += more
        strange += no_rows
    if strange:
        _log.warning(
            "records of the state topic are of no sensor",
            partition=partition,
            records=len(strange),
            first_key=repr(strange[0][:100]),
            effect="they are deleted",
        )
    if found.committed and MARKER not in found.rows and not bank.sensors:
        _log.warning(
            "state is gone",
            partition=partition,
            position=found.committed,
            effect="all sensors of this partition are learnt anew, and anomalies listed as open from before are not "
            "cleared any more",
            remedy="never delete the state topic, and let it be compacted; `gatewayctl anomalies --since` lists without "
            "those from before, until the anomalies topic has let them go (retention.ms)",
        )
    return Restored(mark, found.committed, unusable, strange)


def _restore(whose: Judge | Gateways, rows: Mapping[bytes, bytes], partition: int) -> tuple[int, list[bytes]]:
    """How many cannot be used, and the keys of those that are no rows."""
    unusable, strange = 0, list[bytes]()
    for key, value in rows.items():
        try:
            whose.restore(key, value)
        except StrangeKeyError:
            strange.append(key)
        except StateError as error:
            unusable += 1
            if unusable == 1:
                _log.warning(
                    "state of a sensor cannot be used",
                    partition=partition,
                    problem=str(error),
                    effect="it is learnt anew",
                )
    return unusable, strange


def _mark(value: bytes | None, partition: int) -> int | None:
    if value is None:
        return None
    try:
        mark = _MARK.decode(value)
    except msgspec.MsgspecError as error:
        problem = str(error)
    else:
        if mark.v == VERSION:
            return mark.offset
        problem = f"version {mark.v}; this program knows version {VERSION}"
    _log.warning(
        "marker of the state cannot be used",
        partition=partition,
        problem=problem,
        effect="begins at the position",
    )
    return None
