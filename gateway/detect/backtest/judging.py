"""Judges a recording, chunk by chunk, as gateway-detect judges what it polls."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import numpy as np

from gateway.detect.backtest.recorded import Bad, Chunk
from gateway.detect.backtest.trace import Trace
from gateway.detect.bank import Bank, Counts, Name
from gateway.detect.config import DetectConfig
from gateway.detect.state import Floats
from gateway.wire import Anomaly, Arrival

MOST_FLAGS: Final = 10_000
MOST_TRACES: Final = 500
MOST_BAD: Final = 20
"""So many anomalies are told, sensors drawn from and bad rows named, at most; all are counted."""


class Flag(msgspec.Struct):
    """One anomaly.

    Attributes:
        raised: the record that raised it; worst: the newest that said how bad it is; cleared: the one that cleared it.
    """

    raised: Anomaly
    worst: Anomaly
    cleared: Anomaly | None = None


class Span(msgspec.Struct):
    """From when to when something was measured, in nanoseconds since 1970 UTC."""

    first: int
    last: int


class Judging:
    """Takes chunks, and remembers what came of them.

    Attributes:
        rows, bad: how many rows there were, and how many were no readings; bad_rows: the first of them.
        grades: anomalies raised, by grade.
        flags: the first anomalies; left_out: how many there were beyond.
        spans: by device and sensor, of what was judged.
        traces: by device and sensor, if they are wanted.
    """

    def __init__(self, config: DetectConfig, hear: Callable[[Anomaly], None], *, draw: bool) -> None:
        """`hear` is told of every event."""
        self.rows = self.bad = self.left_out = 0
        self.bad_rows: list[Bad] = []
        self.grades = {"alarm": 0, "advisory": 0}
        self.flags: list[Flag] = []
        self.spans: dict[tuple[str, str], Span] = {}
        self.traces: dict[tuple[str, str], Trace] = {}
        self._config, self._hear, self._draw = config, hear, draw
        self._banks: dict[int, Bank] = {}
        self._latest: dict[tuple[int, str], int] = {}
        self._open: dict[str, Flag] = {}

    def take(self, chunk: Chunk) -> Floats:
        """Judge the rows of a chunk; the score of each, from 0 to 1."""
        bank = self._banks.get(chunk.partition)
        if bank is None:
            bank = self._banks[chunk.partition] = Bank(self._config)
        self.rows += chunk.rows
        self.bad += len(chunk.bad)
        self.bad_rows += chunk.bad[: MOST_BAD - len(self.bad_rows)]
        said = bank.judge(chunk.arrivals)
        scores, found = np.zeros(chunk.rows), bank.scores()
        scores[chunk.places] = np.nan_to_num(found)
        for gateway, until in self._passed(chunk):
            said += bank.advance(gateway, until)
        for one in said:
            self._note(one.anomaly)
        self._measure(chunk.arrivals[place] for place in np.flatnonzero(~np.isnan(found)).tolist())
        if self._draw:
            self._trace(bank, chunk.arrivals)
        return scores

    def counts(self) -> Counts:
        """What became of the readings."""
        total = Counts()
        for bank in self._banks.values():
            for name in Counts.__struct_fields__:
                setattr(total, name, getattr(total, name) + getattr(bank.counts, name))
        return total

    @property
    def days(self) -> float:
        """For how many days sensors were watched, over all of them."""
        return sum(one.last - one.first for one in self.spans.values()) / 86_400e9

    def _passed(self, chunk: Chunk) -> Iterable[tuple[str, int]]:
        """The gateways whose time went on in this chunk, and until when: as far as they are known to have been alive.

        Where a file goes back in time, because it tells one device after the other, time stands still.
        """
        newest: dict[str, int] = {}
        for one in chunk.arrivals:
            gateway, received = one.reading.gateway, one.reading.received
            if received > newest.get(gateway, 0):
                newest[gateway] = received
        for gateway, until in newest.items():
            if until > self._latest.get((chunk.partition, gateway), 0):
                self._latest[chunk.partition, gateway] = until
                yield gateway, until

    def _note(self, anomaly: Anomaly) -> None:
        self._hear(anomaly)
        if anomaly.event == "raised":
            self.grades[anomaly.grade] += 1
            if len(self.flags) >= MOST_FLAGS:
                self.left_out += 1
                return
            flag = self._open[anomaly.id] = Flag(anomaly, anomaly)
            self.flags.append(flag)
        elif (known := self._open.get(anomaly.id)) is not None:
            if anomaly.event == "updated":
                known.worst = anomaly
            elif anomaly.event == "cleared":
                known.cleared = anomaly
                del self._open[anomaly.id]

    def _measure(self, arrivals: Iterable[Arrival]) -> None:
        spans = self.spans
        for _, _, reading in arrivals:
            time = reading.time
            span = spans.get((reading.device, reading.sensor))
            if span is None:
                spans[reading.device, reading.sensor] = Span(time, time)
            elif time > span.last:
                span.last = time
            elif time < span.first:
                span.first = time

    def _trace(self, bank: Bank, arrivals: list[Arrival]) -> None:
        series: dict[Name, tuple[list[int], list[float]]] = {}
        for _, key, reading in arrivals:
            value = reading.value
            if isinstance(value, (bool, str)) or not np.isfinite(float(value)):
                continue
            times, values = series.setdefault((key, reading.device, reading.sensor), ([], []))
            times.append(reading.time)
            values.append(float(value))
        lows, highs = bank.expected(list(series))
        for (name, (times, values)), low, high in zip(
            series.items(), lows.tolist(), highs.tolist(), strict=True
        ):
            trace = self.traces.get(name[1:])
            if trace is None:
                if len(self.traces) >= MOST_TRACES:
                    continue
                trace = self.traces[name[1:]] = Trace()
            trace.add(np.array(times, np.int64), np.array(values))
            trace.expect(times[-1], low, high)
