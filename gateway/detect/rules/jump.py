"""Finds values far from the level of a sensor: what the rules on readings and on aggregates share."""

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

import numpy as np

from gateway.detect.config import Spike
from gateway.detect.poll import Rounds
from gateway.detect.rules.level import CALM, FIELDS, HOLDING, LIGHTEST, OPEN, SIZE, WARMING, Level, floor
from gateway.detect.state import Columns, Floats, Ints

CALM_VALUES: Final = 3
"""So many in a row within half the threshold, and the sensor is back."""

HOLD_OFF: Final = 60
"""Values after an anomaly in which only one FARTHER times as far off as that one is raised."""

FARTHER: Final = 1.25
"""What comes again and again, of one height, is not said each time; what is worse by a quarter is."""

FEWEST: Final = 10
"""Of fewer values that were accepted only the mean is believed."""

EARLIER: Final = ("mean", "lagged", "variance", "resolution", "count")

_Kind = Literal["raised", "updated", "back", "accepted"]


class Jump(NamedTuple):
    """What there is to say after a value.

    Attributes:
        sample: which value.
        kind: `back` and `accepted` are the two ways in which an anomaly is cleared.
        score, mean, scale: of that value, before it was learned.
        said, peak, farthest, since: of the anomaly.
        level, spread, values: the new level, if one is accepted, and of how many values it is made.
    """

    sample: int
    kind: _Kind
    score: float
    mean: float
    scale: float
    said: float
    peak: float
    farthest: float
    since: int
    level: float = 0.0
    spread: float = 0.0
    values: int = 0


class _Run(NamedTuple):
    """What goes through all rounds of one call. The arrays after `level` are by place in it, `time` is by sample."""

    level: Level
    threshold: Floats
    size: Ints
    warm_up: Ints
    order: Ints
    time: Ints
    tell: Callable[[Jump], None]


class Jumps:
    """Raised at `threshold` sigma, updated whenever twice as far off as when last said.

    While an anomaly is open its values teach the level nothing; they make up a level of their own. It is cleared when the
    sensor is back (see CALM_VALUES), or when as many values as a level begins with have come since: that is then accepted
    as the new one. So no anomaly outlasts so many values.
    """

    def __init__(self, more: Mapping[str, str] | None = None) -> None:
        """`more` fields, for what the rule needs beside."""
        more = more or {}
        if both := FIELDS.keys() & more.keys():
            raise ValueError(f"fields that a level has itself: {both}")
        self.columns = Columns({**FIELDS, **more}, {"resolution": np.inf, "scale": 1.0})
        self.settings = Columns({"on": "?", "warm_up": "i8", "threshold": "f8", "tau": "f8"})

    def watch(self, row: int, wanted: Spike | None) -> bool:
        """Judge this sensor as it is `wanted` from now on, or not; which of both."""
        self.settings["on"][row] = wanted is not None
        if wanted is not None:
            for name in ("warm_up", "threshold", "tau"):
                self.settings[name][row] = getattr(wanted, name)
            if self.columns["phase"][row] == CALM:
                self.columns["wanted"][row] = wanted.threshold  # it may be another than before the restart
        return wanted is not None

    def judge(
        self, row: Ints, value: Floats, elapsed: Floats, time: Ints, tell: Callable[[Jump], None]
    ) -> Floats:
        """Judge values that are sorted by row; for each its score relative to what would have made it speak."""
        rounds = Rounds(row)
        settings, order = self.settings, rounds.order
        warm_up, threshold = settings["warm_up"][rounds.rows], settings["threshold"][rounds.rows]
        level, size = Level(self.columns, rounds.rows), np.minimum(warm_up, SIZE)
        run = _Run(level, threshold, size, warm_up, order, time, tell)
        value, elapsed = value[order], elapsed[order]
        tau = settings["tau"][row][order]
        alpha = np.minimum(elapsed / (tau + elapsed), 1 / LIGHTEST)
        ratio = np.zeros(len(row))
        for start, end in rounds.spans:
            x, weight = value[start:end], alpha[start:end]
            phase = level.phase[: end - start]
            at: slice | Ints = slice(0, end - start)
            holding = opened = np.zeros(0, np.int64)
            if np.count_nonzero(phase != CALM):
                opened = np.flatnonzero(phase == OPEN)
                holding = np.flatnonzero(phase == HOLDING)
                at = np.flatnonzero((phase == CALM) | (phase == HOLDING))
                self._warm(run, np.flatnonzero(phase == WARMING), x)
                if len(opened):
                    ratio[start + opened] = self._follow(run, opened, start, x)
                x, weight = x[at], weight[at]
            centre = level.centre(at)
            residual = x - centre
            distance = np.abs(residual)
            wanted = level.wanted[at] * level.scale[at]
            ratio[start:end][at] = distance / wanted
            far = distance >= wanted
            if np.count_nonzero(far):
                places = np.arange(end - start)[at]
                self._raise(run, places[far], start, x[far], distance[far])
                at, x, weight = places[~far], x[~far], weight[~far]
                centre, residual = centre[~far], residual[~far]
            level.learn(at, x, centre, residual, weight)
            if len(holding):
                self._hold(level, holding[level.phase[holding] == HOLDING], threshold)
        level.store()
        scores = np.empty(len(row))
        scores[order] = ratio
        return scores

    def expected(self, row: Ints) -> tuple[Floats, Floats]:
        """The lowest and the highest value within the threshold, as things are; NaN while nothing is known."""
        columns, settings = self.columns, self.settings
        centre = 2 * columns["mean"][row] - columns["lagged"][row]
        margin = settings["threshold"][row] * columns["scale"][row]
        margin[~settings["on"][row] | (columns["phase"][row] == WARMING)] = np.nan
        return centre - margin, centre + margin

    def accept(self, row: int) -> tuple[float, float]:
        """Go on from what came since the last anomaly was raised; mean and scale of that."""
        level, at = Level(self.columns, np.array([row])), np.zeros(1, np.int64)
        if self.columns["phase"][row] == OPEN:
            filled = int(self.columns["filled"][row])
            self._keep(level, at)
            if filled >= FEWEST:
                level.settle(at, filled, move=True)
            else:
                level.mean[0] = level.lagged[0] = np.median(self.columns["values"][row, :filled])
            self._hold_for(level, at, np.zeros(1, np.int64), np.zeros(1))
            level.store()
        return float(level.centre(at)[0]), float(level.scale[0])

    def fault(self, row: int) -> tuple[float, float]:
        """Go back to the level before the last one was accepted, and raise the same again at once, also if it is still open."""
        level, at = Level(self.columns, np.array([row])), np.zeros(1, np.int64)
        self.columns["unlearned"][row] = True
        if self.columns["earlier_count"][row]:
            for name in EARLIER:
                getattr(level, name)[0] = self.columns[f"earlier_{name}"][row]
            level.scale[0] = np.maximum(
                np.sqrt(level.variance), floor(level.resolution, level.mean, level.long_variance)
            )[0]
            self.columns["earlier_count"][row] = 0
        if level.phase[0] == HOLDING and np.isfinite(level.wanted[0]):
            self._hold_for(level, at, np.zeros(1, np.int64), np.zeros(1))
        level.store()
        return float(level.centre(at)[0]), float(level.scale[0])

    def close(self, row: int) -> None:
        """The anomaly is no longer open, without having taught anything."""
        self.columns["phase"][row] = CALM
        self.columns["wanted"][row] = self.settings["threshold"][row]

    def _warm(self, run: _Run, at: Ints, x: Floats) -> None:
        """Collect the first values; when there are enough, begin."""
        if not len(at):
            return
        level, size = run.level, run.size[at]
        rows, columns = level.rows[at], self.columns
        columns["values"][rows, columns["filled"][rows]] = x[at]
        columns["filled"][rows] += 1
        full = columns["filled"][rows] >= size
        for each in np.unique(size[full]):
            these = at[full & (size == each)]
            level.settle(these, int(each), move=False)
            self._hold_for(level, these, run.warm_up[these] - int(each), np.full(len(these), np.inf))

    def _hold_for(self, level: Level, at: Ints, values: Ints, wanted: Floats) -> None:
        """For so many values only a score of `wanted` is raised."""
        self.columns["hold"][level.rows[at]] = values
        level.wanted[at] = wanted
        level.phase[at] = HOLDING
        over = at[values == 0]
        level.phase[over] = CALM
        level.wanted[over] = self.settings["threshold"][level.rows[over]]

    def _hold(self, level: Level, at: Ints, threshold: Floats) -> None:
        rows = level.rows[at]
        self.columns["hold"][rows] -= 1
        over = at[self.columns["hold"][rows] == 0]
        level.phase[over] = CALM
        level.wanted[over] = threshold[over]

    def _raise(self, run: _Run, at: Ints, start: int, x: Floats, distance: Floats) -> None:
        level = run.level
        rows, columns = level.rows[at], self.columns
        score = distance / level.scale[at]
        level.phase[at] = OPEN
        columns["said"][rows] = columns["peak"][rows] = score
        columns["farthest"][rows] = x
        columns["earlier_count"][rows] = 0
        columns["unlearned"][rows] = False
        columns["calm"][rows] = 0
        columns["since"][rows] = run.time[run.order[start + at]]
        columns["values"][rows, 0] = x
        columns["filled"][rows] = 1
        for which, place in enumerate(at.tolist()):
            run.tell(self._jump(level, place, int(run.order[start + place]), "raised", float(score[which])))

    def _follow(self, run: _Run, at: Ints, start: int, x: Floats) -> Floats:
        """Judge values while an anomaly is open; their scores, relative to what would have made it speak."""
        level, threshold, size = run.level, run.threshold[at], run.size[at]
        rows, columns, x = level.rows[at], self.columns, x[at]
        score = np.abs(x - level.centre(at)) / level.scale[at]
        columns["values"][rows, columns["filled"][rows]] = x
        columns["filled"][rows] += 1
        farther = score > columns["peak"][rows]
        columns["peak"][rows[farther]], columns["farthest"][rows[farther]] = score[farther], x[farther]
        calm = np.where(score < threshold / 2, columns["calm"][rows] + 1, 0)
        columns["calm"][rows] = calm
        back = calm == CALM_VALUES
        accepted = ~back & (columns["filled"][rows] >= size)
        said = columns["said"][rows]
        updated = ~back & ~accepted & (score >= 2 * said)
        for which in np.flatnonzero(back | updated | accepted).tolist():
            place = int(at[which])
            jump = self._jump(level, place, int(run.order[start + place]), "back", float(score[which]))
            if updated[which]:
                jump = jump._replace(kind="updated")
                columns["said"][rows[which]] = score[which]
            elif accepted[which]:
                self._accept(level, at[which : which + 1], int(size[which]))
                spread = float(level.scale[place])
                jump = jump._replace(
                    kind="accepted", level=float(level.mean[place]), spread=spread, values=int(size[which])
                )
            run.tell(jump)
        over = back | accepted
        wanted = np.maximum(threshold[over], FARTHER * columns["peak"][rows[over]])
        hold = np.where(columns["unlearned"][rows[over]], 0, HOLD_OFF)
        self._hold_for(level, at[over], hold, wanted)
        return np.asarray(score / (2 * said))

    def _accept(self, level: Level, at: Ints, size: int) -> None:
        self._keep(level, at)
        level.settle(at, size, move=True)

    def _keep(self, level: Level, at: Ints) -> None:
        for name in EARLIER:
            self.columns[f"earlier_{name}"][level.rows[at]] = getattr(level, name)[at]

    def _jump(self, level: Level, place: int, sample: int, kind: _Kind, score: float) -> Jump:
        row, columns = level.rows[place], self.columns
        return Jump(
            sample,
            kind,
            score,
            float(2 * level.mean[place] - level.lagged[place]),
            float(level.scale[place]),
            float(columns["said"][row]),
            float(columns["peak"][row]),
            float(columns["farthest"][row]),
            int(columns["since"][row]),
        )
