"""What was measured: figures with their aims, as a table and as JSON."""

import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

LIBRARIES: Final = ("paho-mqtt", "confluent-kafka", "msgspec")


class Figure(msgspec.Struct, frozen=True):
    """One measured value.

    Attributes:
        name: what was measured, under which work.
        value, unit: the result.
        aim: what we want, in the same unit; None if nothing was promised.
        least: the aim is a lower bound, not an upper one.
    """

    name: str
    value: float
    unit: str
    aim: float | None = None
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None if there is none."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.least else self.value <= self.aim


def say(text: str) -> None:
    """Progress, for who waits."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def machine() -> dict[str, Any]:
    """What the figures depend on beside our code."""
    names = [line.partition(":")[2] for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "processor": names[0].strip() if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def show(figures: list[Figure]) -> None:
    """Print the table."""
    width = max(len(figure.name) for figure in figures)
    print(f"{'':{width}}  {'measured':>14}  {'aim':>12}")
    for figure in figures:
        sign = "at least" if figure.least else "at most"
        aim = "" if figure.aim is None else f"{sign} {_number(figure.aim)}"
        verdict = {None: "", True: "  met", False: "  MISSED"}[figure.met]
        print(f"{figure.name:{width}}  {_number(figure.value):>7} {figure.unit:6}  {aim:>12}{verdict}")
    print()
    print(
        "All values are absolute values of this machine, on which broker, Kafka and gateway share the cores:"
    )
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    print(
        "Compare them with other runs on the same machine only. Processor time counts all threads of the process."
    )


def save(figures: list[Figure], path: Path) -> None:
    """Write the same as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**msgspec.structs.asdict(figure), "met": figure.met} for figure in figures]
    path.write_text(json.dumps({"machine": machine(), "figures": rows}, indent=2) + "\n")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
