"""Run detection over recorded readings, as fast as it can, and say what it would have flagged.

FILE.csv has a header `timestamp,value` or `device,sensor,timestamp,value`, in any order, with a column `unit` if you like.
Times are ISO 8601 (UTC if they name no zone) or seconds, ms, us or ns since 1970. Without names the sensor is called as the
file, of the device `recorded`. Or readings are read back from Kafka, with --topic.

Exit code: 0 done, whatever was flagged, 2 refused: there is nothing to judge, or a file cannot be used.

examples: gateway-detect backtest boiler.csv
          gateway-detect backtest boiler.csv --config detect.toml --labels faults.csv --plot boiler.html
          gateway-detect backtest --topic readings --from 2026-01-31T00:00 --to 2026-02-01T00:00 --config detect.toml
"""

import argparse
import contextlib
import csv
import datetime as dt
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from gateway.config import ConfigError
from gateway.detect.backtest import plot, report
from gateway.detect.backtest.judging import Judging
from gateway.detect.backtest.labels import Labels, Verdict, load_labels
from gateway.detect.backtest.page import page
from gateway.detect.backtest.recorded import Recorded, RefusedError
from gateway.detect.backtest.table import EXPECTED, Table
from gateway.detect.backtest.topic import ReadingsTopic
from gateway.detect.config import DetectConfig, load_detect
from gateway.moments import point
from gateway.terminal import plain
from gateway.wire import Anomaly

DRAWN_PARTS: Final = 600
"""So many times at least is the expected range looked at for a drawing."""

Progress = Callable[[int], None]


def main(arguments: Sequence[str]) -> int:
    """The command `gateway-detect backtest`. Returns 0 when done, 2 if there is nothing to judge or something is refused."""
    options = parser().parse_args(arguments)
    try:
        return _backtest(options)
    except (RefusedError, ConfigError) as error:
        sys.stderr.write(f"gateway-detect backtest: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left; Python would complain about it at exit
        return 141


def parser() -> argparse.ArgumentParser:
    """The arguments of `gateway-detect backtest`."""
    made = argparse.ArgumentParser(
        prog="gateway-detect backtest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("file", nargs="?", type=Path, metavar="FILE.csv", help="recorded readings")
    made.add_argument("--config", type=Path, metavar="FILE", help="detect.toml (default: no settings)")
    made.add_argument("--topic", help="in place of a file: this readings topic, at the Kafka of --config")
    made.add_argument(
        "--from",
        dest="begin",
        type=_moment,
        metavar="TIME",
        help="with --topic: what Kafka got from then on: 90min, 12h, 7d ago, or a time such as 2026-01-31T08:00 (UTC)",
    )
    made.add_argument("--to", dest="end", type=_moment, metavar="TIME", help="with --topic: and before then")
    made.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="when something was really wrong: CSV or JSON (docs/detection.md)",
    )
    made.add_argument("--plot", type=Path, metavar="OUT", help="draw it, as an .html or a .png file")
    made.add_argument("--scores", type=Path, metavar="OUT.csv", help="write a score from 0 to 1 for each row")
    made.add_argument("--json", action="store_true", help="print what was found as one JSON object")
    return made


def _moment(text: str) -> int:
    """Milliseconds since 1970 UTC."""
    return max(0, point(text, dt.UTC) // 1_000_000)


def _backtest(options: argparse.Namespace) -> int:
    config = load_detect(options.config) if options.config else DetectConfig()
    if options.plot:
        plot.check_drawing(options.plot)
    for out in (options.plot, options.scores):
        if out:
            _check_writable(out, options.file)
    with ExitStack() as stack:
        recorded = _recorded(options, config, stack)
        labels = load_labels(options.labels, recorded.name) if options.labels else None
        began = time.monotonic()
        judged = _judge(recorded, config, labels, options, stack)
        seconds = time.monotonic() - began
    if not judged.spans:
        raise RefusedError(f"{recorded.name}: {_why_nothing(judged, EXPECTED if options.file else '')}")
    verdict = labels.verdict(judged.days, judged.spans) if labels is not None else None
    _print(options, recorded.name, judged, verdict, seconds)
    if options.plot:
        _draw(options, recorded.name, judged, config, labels, verdict, seconds)
    return 0


def _print(
    options: argparse.Namespace, name: str, judged: Judging, verdict: Verdict | None, seconds: float
) -> None:
    if options.json:
        found = report.as_json(name, judged, verdict, seconds)
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
        for line in report.doubts(judged):
            sys.stderr.write(f"gateway-detect backtest: {line}\n")
    else:
        for line in report.facts(name, judged, verdict, seconds):
            sys.stdout.write(plain(line) + "\n")
        sys.stdout.write("\n" if judged.flags else "")
        report.show(judged)
        if judged.left_out:
            sys.stdout.write(f"... and {judged.left_out} more\n")
        for line in report.doubts(judged):
            sys.stdout.write(f"\n{line}\n")


def _why_nothing(judged: Judging, expected: str) -> str:
    if judged.bad < judged.rows:
        return f"none of its {judged.rows} rows could be judged: {report.unjudged(judged)}"
    first = f"; the first: {judged.bad_rows[0].where} {judged.bad_rows[0].reason}" if judged.bad else ""
    none = "its one row is no reading" if judged.rows == 1 else f"none of its {judged.rows} rows is a reading"
    return f"{none}{first}" + (f"; {expected}" if expected else "")


def _check_writable(out: Path, judged: Path | None) -> None:
    if judged and out.resolve() == judged.resolve():
        raise RefusedError(f"{out}: is not allowed: it would overwrite what is to be judged")
    if not out.parent.is_dir():
        raise RefusedError(f"{out}: cannot be written: there is no folder {out.parent}")
    if out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        raise RefusedError(f"{out}: cannot be written: name a file in a folder that you may write to")


def _recorded(options: argparse.Namespace, config: DetectConfig, stack: ExitStack) -> Recorded:
    if bool(options.file) == bool(options.topic):
        raise RefusedError("name either a file or, with --topic, a topic; --help has examples")
    if options.file:
        if options.begin is not None or options.end is not None:
            raise RefusedError("--from and --to go with --topic; of a file all is judged")
        return Table(options.file)
    if None not in {options.begin, options.end} and options.begin >= options.end:
        raise RefusedError("--from is not before --to")
    kafka = msgspec.structs.replace(config.kafka, readings_topic=options.topic)
    topic = ReadingsTopic(kafka, options.begin, options.end)
    stack.callback(topic.close)
    return topic


def _judge(
    recorded: Recorded,
    config: DetectConfig,
    labels: Labels | None,
    options: argparse.Namespace,
    stack: ExitStack,
) -> Judging:
    def hear(anomaly: Anomaly) -> None:
        if labels is not None:
            labels.take(anomaly)

    judging = Judging(config, hear, draw=bool(options.plot))
    write = _scores(options.scores, recorded.columns, stack) if options.scores else None
    with _progress(recorded.total) as progress:
        for chunk in recorded.chunks(DRAWN_PARTS if options.plot else 1, cells=write is not None):
            scores = judging.take(chunk)
            if write is not None:
                write(chunk.cells, scores.tolist())
            progress(chunk.done)
    judging.flags.sort(key=lambda one: one.raised.time)  # a silence may be told later than it is raised
    return judging


def _scores(
    path: Path, columns: Sequence[str], stack: ExitStack
) -> Callable[[list[tuple[str, ...]], list[float]], None]:
    try:
        file = stack.enter_context(path.open("w", encoding="utf-8", errors="surrogateescape", newline=""))
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*columns, "anomaly_score"])

    def write(cells: list[tuple[str, ...]], scores: list[float]) -> None:
        try:
            writer.writerows([*row, f"{score:.6g}"] for row, score in zip(cells, scores, strict=True))
        except OSError as error:
            raise _unwritable(path, error) from None

    return write


def _unwritable(path: Path, error: OSError | ValueError) -> RefusedError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return RefusedError(f"{path}: cannot be written: {reason}")


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Progress]:
    """A bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    # Needed only here, and slow to come.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    looks = (TextColumn("judging"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Bar(*looks, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("judging", total=total)
        yield lambda done: bar.update(task, completed=done)


def _draw(  # noqa: PLR0913, PLR0917 - a drawing shows all there is
    options: argparse.Namespace,
    name: str,
    judged: Judging,
    config: DetectConfig,
    labels: Labels | None,
    verdict: Verdict | None,
    seconds: float,
) -> None:
    shown = plot.panels(judged)
    windows = labels.windows if labels is not None else []
    title = f"{Path(name).name if options.file else name}: {len(judged.flags) + judged.left_out} anomalies"
    if len(shown) < len(judged.spans):
        title += f"; {len(shown)} of {len(judged.spans)} sensors, those with most flags"
    path: Path = options.plot
    try:
        if path.suffix.lower() == ".png":
            path.write_bytes(plot.draw_png(title, shown, config, windows))
        else:
            drawing = plot.draw_svg(title, shown, config, windows)
            path.write_text(page(name, judged, verdict, seconds, drawing), encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from None
    if not options.json:
        sys.stdout.write(f"\ndrawn: {path}\n")
