"""What a backtest says in words, and as JSON."""

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.detect.backtest.judging import MOST_BAD, Flag, Judging
from gateway.detect.backtest.labels import Verdict
from gateway.detect.text import counted, duration
from gateway.terminal import plain, table
from gateway.wire import Anomaly

MUCH: Final = 0.1
"""If so many of the rows are late, nobody should trust the rest."""

UNJUDGED = ("not_numeric", "retained", "recovered", "repeated", "late", "replayed", "unnamed", "forgotten")
"""Counts of what the rules do not see, and of the sensors forgotten meanwhile."""


def facts(name: str, judged: Judging, verdict: Verdict | None, seconds: float) -> Iterator[str]:
    """What was read, judged and flagged."""
    counts = judged.counts()
    first = min((one.first for one in judged.spans.values()), default=0)
    last = max((one.last for one in judged.spans.values()), default=0)
    yield (
        f"{name}: {counted(judged.rows, 'row')} of {counted(len(judged.spans), 'sensor')}, "
        f"{moment(first)} to {moment(last)} UTC, {judged.days:.1f} sensor-days; "
        f"{counts.judged} judged in {duration(round(seconds * 1e9))}, {judged.rows / max(seconds, 1e-3):.0f} rows/s"
    )
    if left := unjudged(judged):
        yield f"not judged: {left}"
    for one in judged.bad_rows:
        yield f"  {one.where}: {one.reason}"
    if judged.bad > len(judged.bad_rows):
        yield f"  ... {judged.bad} of these in all"
    alarms, advisories = judged.grades["alarm"], judged.grades["advisory"]
    rate = f", {(alarms + advisories) / judged.days:.2f} per sensor-day" if judged.days > 0 else ""
    grades = f"{counted(alarms, 'alarm')}, {counted(advisories, 'advisory', 'advisories')}"
    yield f"anomalies: {alarms + advisories} ({grades}){rate}"
    if verdict is not None:
        yield from _verdict(verdict)


def unjudged(judged: Judging) -> str:
    """How many rows were not judged, and why."""
    counts = judged.counts()
    left = {one: getattr(counts, one) for one in UNJUDGED if getattr(counts, one)}
    if judged.bad:
        left["bad"] = judged.bad
    return ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in left.items())


def doubts(judged: Judging) -> Iterator[str]:
    """What makes all of it doubtful, and what to do."""
    late = judged.counts().late
    if late >= MUCH * judged.rows:
        yield (
            f"late: {late} of {judged.rows} rows are older than one of the same sensor before them, and were not judged; "
            "sort them by time, the oldest first, and judge them again"
        )


def _verdict(verdict: Verdict) -> Iterator[str]:
    missed = len(verdict.missed)
    delay = (
        "" if verdict.delay is None else f", {duration(round(verdict.delay * 1e9))} after it began (median)"
    )
    yield f"labels: {verdict.found} of {counted(verdict.found + missed, 'window')} found{delay}"
    for start, end in verdict.missed:
        yield f"  missed: {moment(start)} to {moment(end)}"
    for where in verdict.strangers[:MOST_BAD]:
        yield f"  {where} is not in the recording, or nothing of it was judged"
    if len(verdict.strangers) > MOST_BAD:
        yield f"  ... {len(verdict.strangers)} of these in all"
    rate = "" if verdict.per_day is None else f", {verdict.per_day:.2f} per sensor-day"
    yield f"false: {counted(verdict.false_events, 'anomaly', 'anomalies')} raised outside of the windows{rate}"


def show(judged: Judging) -> None:
    """Print what was flagged, in the order in which it was raised."""
    if judged.flags:
        table(
            ("#", "RAISED (UTC)", "FOR", "SENSOR", "RULE", "GRADE", "WHAT"),
            [
                (
                    str(number),
                    moment(one.raised.time),
                    lasted(one),
                    plain(owner(one.raised)),
                    plain(one.raised.rule),
                    one.raised.grade,
                    plain(one.raised.sentence),
                )
                for number, one in enumerate(judged.flags, 1)
            ],
        )


def as_json(name: str, judged: Judging, verdict: Verdict | None, seconds: float) -> dict[str, Any]:
    """The same for programs."""
    return {
        "name": name,
        "rows": judged.rows,
        "seconds": round(seconds, 3),
        "sensors": len(judged.spans),
        "sensor_days": judged.days,
        "counts": {**msgspec.structs.asdict(judged.counts()), "bad": judged.bad},
        "bad_rows": [{"where": one.where, "reason": one.reason} for one in judged.bad_rows],
        "anomalies": [msgspec.structs.asdict(one) for one in judged.flags],
        "left_out": judged.left_out,
        "labels": None if verdict is None else msgspec.structs.asdict(verdict),
    }


def owner(anomaly: Anomaly) -> str:
    """Whose it is; a storm is of a gateway."""
    return f"{anomaly.device} {anomaly.sensor}".strip() or anomaly.gateway


def lasted(flag: Flag) -> str:
    """For how long it was open, from when it was raised."""
    return duration(flag.cleared.time - flag.raised.time) if flag.cleared is not None else "open at the end"


def moment(nanoseconds: int) -> str:
    """A point in time, as UTC."""
    try:
        return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=nanoseconds // 10**9)).strftime(
            "%Y-%m-%d %H:%M:%S"
        )
    except OverflowError:
        return f"{nanoseconds} ns"
