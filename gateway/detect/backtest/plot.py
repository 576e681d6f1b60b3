"""Draws what was measured, what was expected, and what was flagged. The only module that imports matplotlib."""

import datetime as dt
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from devices.extras import missing
from gateway.detect.backtest.judging import Flag, Judging
from gateway.detect.backtest.labels import Window
from gateway.detect.backtest.recorded import RefusedError
from gateway.detect.backtest.report import moment
from gateway.detect.backtest.trace import Trace
from gateway.detect.config import DetectConfig
from gateway.detect.state import Floats, Ints
from gateway.terminal import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS: Final = 12
"""So many sensors are drawn: those with most flags."""

NUMBERED: Final = 25
"""So many flags of a panel carry their number."""

INK: Final = "#2b5c8a"
BAND: Final = "#bcd4e6"
LIMIT: Final = "#555555"
GRADES: Final = {"alarm": "#c62828", "advisory": "#ef8e00"}
LABEL: Final = "#7cb342"

STYLE: Final[dict[Any, Any]] = {
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.0,
    "grid.alpha": 0.25,
    "svg.fonttype": "path",  # readers need no font
    "svg.hashsalt": "gateway-detect",
}


class Panel(NamedTuple):
    """What is drawn of one sensor: its names, and its flags with their numbers."""

    device: str
    sensor: str
    trace: Trace
    flags: list[tuple[int, Flag]]


def check_drawing(path: Path) -> None:
    """Whether a drawing of this name can be made.

    Raises:
        RefusedError: no.
    """
    if path.suffix.lower() not in {".html", ".png"}:
        raise RefusedError(f"--plot {path}: is not allowed: write the name of an .html or a .png file")
    try:
        import matplotlib as mpl  # noqa: F401, PLC0415 - an extra, and slow to come
    except ImportError:
        raise RefusedError(f"--plot {missing('matplotlib', 'plot')}") from None


def panels(judged: Judging) -> list[Panel]:
    """The sensors to draw: those with most flags, as they came in the recording."""
    flags: dict[tuple[str, str], list[tuple[int, Flag]]] = {}
    for number, flag in enumerate(judged.flags, 1):
        flags.setdefault((flag.raised.device, flag.raised.sensor), []).append((number, flag))
    order = {name: place for place, name in enumerate(judged.traces)}
    chosen = sorted(judged.traces, key=lambda name: (-len(flags.get(name, ())), order[name]))[:PANELS]
    return [
        Panel(*name, judged.traces[name], flags.get(name, []))
        for name in sorted(chosen, key=order.__getitem__)
    ]


def draw_png(title: str, shown: Sequence[Panel], config: DetectConfig, windows: Sequence[Window]) -> bytes:
    """The drawing as a picture."""
    return _drawn(title, shown, config, windows, "png")


def draw_svg(title: str, shown: Sequence[Panel], config: DetectConfig, windows: Sequence[Window]) -> str:
    """The drawing as an element of HTML."""
    text = _drawn(title, shown, config, windows, "svg").decode()
    return text[text.index("<svg") :]


def _drawn(
    title: str, shown: Sequence[Panel], config: DetectConfig, windows: Sequence[Window], kind: str
) -> bytes:
    import matplotlib as mpl  # noqa: PLC0415 - see above
    from matplotlib.figure import Figure  # noqa: PLC0415

    file = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a unit in a script that the font has not
        height = 1.6 + (3.4 if len(shown) == 1 else 2.6) * max(1, len(shown))
        figure = Figure(figsize=(13, height), layout="constrained")
        _compose(figure, title, shown, config, windows)
        # Without them the same input gives the same file, and a page names no other one.
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type")) if kind == "svg" else None
        figure.savefig(file, format=kind, dpi=110, metadata=metadata)
    return file.getvalue()


def _compose(
    figure: "Figure", title: str, shown: Sequence[Panel], config: DetectConfig, windows: Sequence[Window]
) -> None:
    figure.suptitle(_text(title), fontsize=12, fontweight="bold", parse_math=False)
    axes = figure.subplots(max(1, len(shown)), 1, sharex=True, squeeze=False)[:, 0]
    for place, panel in enumerate(shown):
        _panel(axes[place], panel, config, windows)
    times = [one.trace.line()[0] for one in shown]
    if times:
        first, last = (
            moment(int(one))[:10] for one in (min(one[0] for one in times), max(one[-1] for one in times))
        )
        axes[-1].set_xlabel(f"time (UTC), {first} to {last}")
    found: dict[str, Any] = {}
    for each in axes:
        handles, names = each.get_legend_handles_labels()
        found |= dict(zip(names, handles, strict=True))
    if found:
        order = sorted(found, key=_ORDER.index)
        figure.legend(
            [found[one] for one in order], order, loc="outside lower center", ncols=len(order), frameon=False
        )


_HALO: Final = {"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.8, "linewidth": 0}

_ORDER: Final = ["reading", "expected", "limit", "alarm", "advisory", "label"]


def _panel(axes: "Axes", panel: Panel, config: DetectConfig, windows: Sequence[Window]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - see above

    time, value = panel.trace.line()
    low, high = _extent(value)
    begin, lowest, highest = panel.trace.band()
    known = ~np.isnan(lowest)
    if known.any():
        begin, lowest, highest = (
            np.append(begin, time[-1:]),
            np.append(lowest, lowest[-1:]),
            np.append(highest, highest[-1:]),
        )
        axes.fill_between(
            _days(begin), np.clip(lowest, low, high), np.clip(highest, low, high),
            where=~np.isnan(lowest).astype(bool), step="post", color=BAND, alpha=0.6, linewidth=0, label="expected",
        )  # fmt: skip
    axes.plot(_days(time), value, color=INK, linewidth=0.8, label="reading")
    for limit in _limits(panel, config):
        axes.axhline(limit, color=LIMIT, linewidth=1, linestyle="--", label="limit")
        low, high = min(low, limit), max(high, limit)
    for window in windows:
        if window.device in {"", panel.device} and window.sensor in {"", panel.sensor}:
            start, end = _days([window.start, window.end])
            axes.axvspan(start, end, ymax=0.04, color=LABEL, alpha=0.9, linewidth=0, label="label")
    _flags(axes, panel, time)
    axes.set_ylim(low, high)
    axes.set_title(_text(f"{panel.device} {panel.sensor}"), loc="left", fontsize=10, parse_math=False)
    unit = next((flag.raised.unit for _, flag in panel.flags if flag.raised.unit), "")
    axes.set_ylabel(_text(unit) or "value", parse_math=False)
    axes.xaxis_date(dt.UTC)
    locator = AutoDateLocator(tz=dt.UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    form = ConciseDateFormatter(locator, tz=dt.UTC, show_offset=False)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(form)
    axes.margins(x=0.01)


def _flags(axes: "Axes", panel: Panel, time: Ints) -> None:
    """From when to when, and where each began, with its number in the list. Rules that speak at once share a mark."""
    marks: dict[int, list[tuple[int, Flag]]] = {}
    for number, flag in panel.flags:
        raised = flag.raised
        end = flag.cleared.time if flag.cleared is not None else int(time[-1])
        since, at, until = _days([raised.since, raised.time, end])
        axes.axvspan(since, max(at, until), color=GRADES[raised.grade], alpha=0.10, linewidth=0)
        marks.setdefault(raised.time, []).append((number, flag))
    for place, together in enumerate(marks.values()):
        # An alarm counts more than an advisory.
        flag = min((one for _, one in together), key=lambda one: list(GRADES).index(one.raised.grade))
        raised, colour = flag.raised, GRADES[flag.raised.grade]
        at, value = (
            _days([raised.time])[0],
            raised.value if isinstance(raised.value, (int, float)) else np.nan,
        )
        axes.plot(
            [at],
            [value],
            "v",
            color=colour,
            markersize=8,
            markeredgecolor="white",
            label=raised.grade,
            zorder=5,
        )
        if place < NUMBERED:
            axes.annotate(
                ", ".join(str(number) for number, _ in together),
                (at, value),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                fontweight="bold",
                color=colour,
                zorder=6,
                bbox=_HALO,
                annotation_clip=True,
            )


def _limits(panel: Panel, config: DetectConfig) -> Iterator[float]:
    limits = config.limits_for(panel.device, panel.sensor)
    if limits is not None:
        yield from (one for one in (limits.low, limits.high) if one is not None)


def _extent(value: Floats) -> tuple[float, float]:
    """The range of the values and some more, so that what is expected beyond shows a little."""
    finite = value[np.isfinite(value)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    # Halves, so that the greatest numbers have a difference.
    margin = (high / 2 - low / 2) * 0.3 or abs(high) * 0.1 or 1.0
    limit = 1e300
    return max(low - margin, -limit), min(high + margin, limit)


def _days(nanoseconds: Ints | Sequence[int]) -> Floats:
    """As matplotlib counts time."""
    return np.asarray(nanoseconds, np.float64) / 86_400e9


def _text(text: str) -> str:
    return plain(text)
