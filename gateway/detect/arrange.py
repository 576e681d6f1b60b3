"""Puts the records of a poll in order: drops what was judged before or comes late, and makes the arrays for the rules."""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from gateway.detect.poll import (
    DAY,
    KINDS,
    LONGEST,
    Poll,
    Spools,
    clock_was_set,
    in_rounds,
    passed,
    shifted,
    since,
    starts,
)
from gateway.detect.state import LONG_AGO, Bools, Columns, Floats, Ints
from gateway.wire import Arrival

CLOCK_STEP: Final = 10
"""So many late readings in a row, each later than the one before, are a clock set back, not stragglers."""

T = TypeVar("T", bound=np.generic)


class Records(NamedTuple):
    """The numeric records of a poll; an element is one of them."""

    place: Ints
    row: Ints
    offset: Ints
    time: Ints
    received: Ints
    seq: Ints
    spool: Ints
    value: Floats
    unset: Bools

    def take(self, elements: Ints | Bools) -> "Records":
        """Some of them."""
        return Records._make(column[elements] for column in self)


class Dropped(NamedTuple):
    """How many records no rule sees."""

    replayed: int
    repeated: int
    late: int


def arrange(
    arrivals: Sequence[Arrival], records: Records, core: Columns, spools: Spools
) -> tuple[Poll, Dropped]:
    """The poll for the rules. Of `core` it changes only what concerns the dropped ones; see also `remember`."""
    records = records.take(np.argsort(records.row, kind="stable"))
    new = records.offset > core["offset"][records.row]
    replayed = len(new) - int(np.count_nonzero(new))
    if replayed:
        records = records.take(new)
    last = np.append(starts(records.row)[1:], len(records.row)) - 1
    if len(records.row):
        core["offset"][records.row[last]] = records.offset[last]
    accepted, repeated, late = _in_time(records, core)
    if repeated or late:
        records = records.take(accepted)
    return _poll(arrivals, records, core, spools), Dropped(replayed, repeated, late)


def _in_time(records: Records, core: Columns) -> tuple[Bools, int, int]:
    """Which of them come after all that was judged of their sensor; how many are repeats, and how many late."""
    row, first = records.row, starts(records.row)
    head = row[first]
    time = _behind(records.time, first, core["time"][head])
    seq = _behind(records.seq, first, core["seq"][head])
    spool = _behind(records.spool, first, core["spool"][head])
    accepted = (records.time > time) & ((records.seq > seq) | (records.spool != spool))
    if accepted.all():
        core["late_run"][head] = 0
        return accepted, 0, 0
    disordered = np.isin(row, row[~accepted])
    core["late_run"][row[~disordered]] = 0
    repeated = late = 0
    now = {name: core[name].copy() for name in ("time", "seq", "spool")}
    for element, rows in in_rounds(row, np.flatnonzero(disordered)):
        time, seq, spool = records.time[element], records.seq[element], records.spool[element]
        again = ((seq <= now["seq"][rows]) & (spool == now["spool"][rows])) | (time == now["time"][rows])
        behind = ~again & (time < now["time"][rows])
        longer = time > core["late_time"][rows]
        run = np.where(longer, core["late_run"][rows] + 1, 1)
        core["late_run"][rows] = np.where(behind, run, core["late_run"][rows])
        core["late_time"][rows] = np.where(behind, time, core["late_time"][rows])
        step = behind & (core["late_run"][rows] == CLOCK_STEP)
        good = ~again & (~behind | step)
        accepted[element] = good
        repeated += int(np.count_nonzero(again))
        late += int(np.count_nonzero(behind & ~step))
        kept = rows[good]
        core["late_run"][kept] = 0
        now["time"][kept], now["seq"][kept], now["spool"][kept] = time[good], seq[good], spool[good]
    return accepted, repeated, late


def _behind(array: npt.NDArray[T], first: Ints, begin: npt.NDArray[T]) -> npt.NDArray[T]:
    before = np.empty_like(array)
    before[1:] = array[:-1]
    before[first] = begin
    return before


def _poll(arrivals: Sequence[Arrival], records: Records, core: Columns, spools: Spools) -> Poll:
    row, value, time = records.row, records.value, records.time
    first = starts(row)
    head = row[first]
    earlier = _behind(time, first, core["time"][head])
    before = shifted(value, first, core["value"][head])
    elapsed = passed(time, earlier)
    doubted = _behind(records.unset, first, core["unset"][head])
    stepped = clock_was_set(elapsed, records.unset, doubted) & (earlier != LONG_AGO)
    elapsed[stepped | (earlier == LONG_AGO)] = 0.0
    ones = np.ones(len(row), np.int64)
    number = since(ones, first, core["number"][head]) - 1
    watched = np.round(np.minimum(elapsed, LONGEST) * 1e9).astype(np.int64)
    watched = since(watched, first, core["watched"][head])
    rises = since((value > before).astype(np.int64), first, core["rises"][head])
    falls = since((value < before).astype(np.int64), first, core["falls"][head])
    return Poll(
        arrivals=arrivals,
        core=core,
        spools=spools,
        place=records.place,
        row=row,
        value=value,
        time=time,
        received=records.received,
        seq=records.seq,
        spool=records.spool,
        unset=records.unset,
        doubted=doubted,
        first=first,
        before=before,
        before2=shifted(before, first, core["before"][head]),
        stepped=stepped,
        elapsed=elapsed,
        number=number,
        watched=watched,
        age=watched / DAY,
        moves=rises + falls,
        rises=rises,
        kinds=_kinds(row, value, before, core),
        ratio=np.zeros(len(row)),
    )


def _kinds(row: Ints, value: Floats, before: Floats, core: Columns) -> Ints:
    """How many different values each sensor has shown so far; learns the new ones."""
    shown = core["kinds"][row]
    open_minded = np.flatnonzero((shown < KINDS) & (value != before))
    if not len(open_minded):
        return shown
    fresh = np.zeros(len(row), np.int64)
    for element, rows in in_rounds(row, open_minded):
        kinds = core["kinds"][rows]
        known = (core["known"][rows] == value[element, None]) & (np.arange(KINDS) < kinds[:, None])
        new = (kinds < KINDS) & ~known.any(axis=1)
        fresh[element] = new
        core["known"][rows[new], kinds[new]] = value[element[new]]
        core["kinds"][rows[new]] += 1
    first = starts(row)
    return since(fresh, first, shown[first])


def remember(poll: Poll) -> Ints:
    """Take the readings of the poll into what all rules know, after the rules had them; the rows concerned."""
    core, row = poll.core, poll.row
    last = np.append(poll.first[1:], len(row)) - 1
    head = row[poll.first] if len(row) else row
    if not len(head):
        return head
    core["watched"][head] = poll.watched[last]
    for name in ("time", "received", "seq", "spool", "value", "unset"):
        core[name][head] = getattr(poll, name)[last]
    core["before"][head] = poll.before[last]
    core["number"][head] = poll.number[last] + 1
    core["rises"][head] = poll.rises[last]
    core["falls"][head] = (poll.moves - poll.rises)[last]
    return head
