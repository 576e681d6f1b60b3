"""Puts a simulation together, and lets it run at its pace."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from devices.simulator.faults import Schedule, Truth
from devices.simulator.fleet import Fleet
from devices.simulator.plant import NANO, Plant, schedule_of
from devices.simulator.recording import Row
from devices.simulator.rows import Rows
from devices.simulator.settings import Settings
from gateway.cli.simulate import plan
from gateway.cli.simulate.carrier import Carrier
from gateway.cli.simulate.course import Course, Feed
from gateway.cli.simulate.line import PtyCarrier
from gateway.cli.simulate.report import Report
from gateway.cli.simulate.trouble import SimulateError
from gateway.cli.stopping import StopRequest

TICK: Final = 0.01
"""Seconds between two looks at what is due: what is due in one goes out in one piece."""

GRACE: Final = 0.5
"""Seconds after the end in which what was due before may still be said."""

Say = Callable[[str], None]


def perform(options: argparse.Namespace, say: Say) -> Report:
    """Simulate until the time is over, the file is at its end, or somebody stops it.

    Raises:
        SettingError, ConfigError: of the options.
        SimulateError, SourceRefused: it cannot begin: no broker, a file that cannot be read or written.
    """
    settings = plan.settings_of(options)
    with ExitStack() as stack:
        write = stack.enter_context(_truths(options.truth))
        carrier = plan.carrier_of(options)
        stack.callback(carrier.close)
        stop = stack.enter_context(StopRequest())
        simulation = _Simulation(options, settings, carrier, write)
        if isinstance(carrier, PtyCarrier):
            say(f'port = "{carrier.place}"; waiting for a program to open it')
        while not carrier.ready() and not stop.made:
            carrier.pump()
            time.sleep(TICK)
        simulation.begin()
        say(simulation.words)
        return simulation.run(options.length, stop)


class _Simulation:
    """A feed on its course, and what it came to."""

    def __init__(
        self,
        options: argparse.Namespace,
        settings: Settings,
        carrier: Carrier,
        write: Callable[[Truth], None],
    ) -> None:
        self._options = options
        self._settings = settings
        self._carrier = carrier
        self._write = write
        self._rejected = 0
        self._plant: Plant | None = None
        self._rows = None if options.replay is None else self._recorded(options)
        self.words = ""

    def begin(self) -> None:
        """The time of the first reading is now."""
        self._began = began = time.time_ns()
        options, settings, place = self._options, self._settings, self._carrier.place
        name = options.source or plan.NAME
        feed: Feed
        schedule: Schedule | None
        if self._rows is not None:
            feed, schedule, self._asked = self._rows, schedule_of(settings, began, ()), 0.0
            self.words = f"replaying {options.replay} to {place}"
        else:
            self._plant = plant = Plant(name, settings, began, self._on_fault)
            schedule = plant.schedule
            self._asked = sum(len(sensors) for sensors in plant.devices) / settings.interval
            feed = Fleet(plant, plan.form_of(options, settings), round(settings.interval * NANO), began)
            self.words = f"{len(plant.devices)} devices, {_rate(self._asked)} readings/s to {place}"
        self._course = Course(name, feed, self._carrier, schedule, self._write)

    def run(self, length: float | None, stop: StopRequest) -> Report:
        """Go on for `length` seconds of flowing data at most."""
        start = time.monotonic()
        ticks = 0
        while not stop.made:
            passed = time.monotonic() - start
            over = length is not None and passed >= length
            said = self._course.tick(self._began + int((length if length and over else passed) * NANO))
            ended = self._rows is not None and self._rows.ended
            if ended or (over and (not said or passed > (length or 0.0) + GRACE)):
                break
            ticks = max(ticks + 1, int((time.monotonic() - start) / TICK))
            time.sleep(max(0.0, start + ticks * TICK - time.monotonic()))
        passed = time.monotonic() - start
        self._course.finish()
        kept_up = length is not None and length <= passed < length + GRACE
        return self._count(length if length and kept_up else passed)

    def _count(self, seconds: float) -> Report:
        report = self._course.report
        report.rejected = self._rejected
        if self._plant is not None:
            for kind, readings in self._plant.touched.items():
                self._course.told(kind).readings = readings
            report.suppressed += self._plant.touched["silence"]
        said = report.readings + report.garbled_readings + report.suppressed
        report.seconds = round(seconds, 3)
        report.asked = round(self._asked, 3)
        report.reached = round(said / seconds, 1) if seconds else 0.0
        return report

    def _on_fault(self, truth: Truth) -> None:
        self._course.told(truth.kind).faults += 1
        self._write(truth)

    def _recorded(self, options: argparse.Namespace) -> Rows:
        settings = plan.recording_of(options)
        try:
            return Rows(settings, self._on_reject)
        except OSError as error:
            raise SimulateError(f"--replay: {settings.file} cannot be read: {error.strerror}") from error

    def _on_reject(self, row: Row) -> None:
        self._rejected += 1
        sys.stderr.write(f"{row.reason}\n")


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.3g}"  # noqa: PLR2004 - small ones want digits


@contextmanager
def _truths(target: str | None) -> Iterator[Callable[[Truth], None]]:
    """Writes truths to a file, to standard output (`-`), or nowhere, each at once.

    Raises:
        SimulateError: the file cannot be written.
    """
    with ExitStack() as stack:
        stream: BinaryIO | None = sys.stdout.buffer if target == "-" else None
        if target not in {None, "-"}:
            try:
                stream = stack.enter_context(Path(str(target)).open("ab"))
            except OSError as error:
                raise SimulateError(f"--truth: {target} cannot be written: {error.strerror}") from error

        def write(truth: Truth) -> None:
            if stream is not None:
                stream.write(msgspec.json.encode(truth) + b"\n")
                stream.flush()

        yield write
