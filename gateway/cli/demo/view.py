"""What a person sees of the demo: a live picture on a terminal, plain lines elsewhere. Always on stderr."""

import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.cli.demo.score import Score

T = TypeVar("T")

_DRAW_EVERY: Final = 0.25
_SAY_EVERY: Final = 5.0
_SHOWN: Final = 4
"""Rows of a table: all of it fits a terminal of 24 lines."""


class View(Protocol):
    """Shows how the demo goes; a context manager."""

    def say(self, step: str) -> None:
        """Tell what is being done now."""

    def show(self, status: dict[str, Any], score: Score) -> None:
        """Show how things are. Called many times a second; draws as often as is good for the eye."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_view(*, plain: bool) -> View:
    """The live picture if stderr is a terminal and nobody wants it plain."""
    console = Console(stderr=True)
    return PlainView() if plain or not console.is_terminal else LiveView(console)


class PlainView:
    """A line whenever something happens, and every few seconds one with the rates."""

    def __init__(self) -> None:
        self._next = 0.0
        self._faults = 0
        self._anomalies = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def say(self, step: str) -> None:
        """See View."""
        sys.stderr.write(f"demo: {step}\n")
        sys.stderr.flush()

    def show(self, status: dict[str, Any], score: Score) -> None:
        """See View."""
        for fault in _newest(list(score.faults), score.injected - self._faults):
            self.say(f"fault injected: {fault.truth.device} {fault.truth.sensor}: {fault.truth.words}")
        raised = [one for one in score.anomalies if one.event == "raised"]
        for anomaly in _newest(raised, score.raised - self._anomalies):
            self.say(f"anomaly raised: {anomaly.device} {anomaly.sensor}: {anomaly.sentence}")
        self._faults, self._anomalies = score.injected, score.raised
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SAY_EVERY
            rates = ", ".join(f"{one['name']} {one['readings_per_s']:.0f}/s" for one in status["sources"])
            self.say(f"{status['health']}; {rates}; {score.read_back} readings in Kafka, {_found(score)}")


class LiveView:
    """One picture that changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._began = self._next = time.monotonic()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, step: str) -> None:
        """See View."""
        self._console.print(Text(step, style="dim"))

    def show(self, status: dict[str, Any], score: Score) -> None:
        """See View."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _DRAW_EVERY
        elapsed = time.monotonic() - self._began
        self._live.update(Group(*_picture(status, score, elapsed)), refresh=True)


def _picture(status: dict[str, Any], score: Score, elapsed: float) -> Iterator[RenderableType]:
    health = Text(status["health"], style={"healthy": "bold green"}.get(status["health"], "bold red"))
    yield Text.assemble(
        "gateway ", health, f"   {elapsed:.0f} s   {score.read_back} readings in Kafka   {_found(score)}"
    )
    yield _sources(status)
    yield _faults(score)
    yield _anomalies(score)
    yield Text("Ctrl-C ends the demo", style="dim")


def _sources(status: dict[str, Any]) -> Table:
    table = _table("What flows", "source", "kind", "state")
    for heading in ("readings/s", "made", "delivered", "waiting"):
        table.add_column(heading, justify="right")
    for source in status["sources"]:
        readings = status["ledger"]["sources"][source["name"]]["readings"]
        table.add_row(
            source["name"],
            source["kind"],
            source["state"],
            f"{source['readings_per_s']:.1f}",
            str(readings["made"]),
            str(readings["delivered"]),
            str(readings["in_memory"] + readings["spooled"]),
        )
    return table


def _faults(score: Score) -> Table:
    table = _table("Faults injected", "device", "sensor", "what was made to go wrong", "")
    for fault in list(score.faults)[-_SHOWN:]:
        found = Text("found", style="green") if fault.found_by else Text("not found", style="yellow")
        truth = fault.truth
        table.add_row(Text(truth.device), Text(truth.sensor), Text(truth.words), found)
    return table


def _anomalies(score: Score) -> Table:
    table = _table("Anomalies found", "device", "sensor", "", "in one sentence")
    styles = {"raised": "red", "updated": "yellow", "cleared": "green"}
    for one in list(score.anomalies)[-_SHOWN:]:
        event = Text(one.event, style=styles.get(one.event, ""))
        table.add_row(Text(one.device), Text(one.sensor), event, Text(one.sentence))
    return table


def _table(title: str, *headings: str) -> Table:
    return Table(*headings, title=f"\n{title}", title_justify="left", box=None, expand=True)


def _newest(items: list[T], count: int) -> list[T]:
    return items[-count:] if count else []


def _found(score: Score) -> str:
    return f"{score.raised} anomalies raised, {score.found} of {score.injected} injected faults found"
